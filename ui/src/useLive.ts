/** One event stream from the server; each tick asks the queries that show live numbers to refresh. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export type LiveState = "connecting" | "live" | "lost";

/** Queries whose key begins with this word follow the stream. */
export const LIVE = "live";

export function useLive(): LiveState {
  const queries = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const source = new EventSource("/api/v1/live");
    const refresh = () => void queries.invalidateQueries({ queryKey: [LIVE] });
    const onTick = () => {
      setState("live");
      refresh();
    };
    source.onopen = () => {
      setState("live");
      refresh();
    };
    source.onerror = () => setState("lost");
    source.onmessage = onTick;
    source.addEventListener("tick", onTick);
    return () => source.close();
  }, [queries]);
  return state;
}
