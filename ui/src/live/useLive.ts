/** One event stream from the server; its ticks make the live queries refresh, each at its own pace. */

import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { Refresher } from "./refresher";

export interface Live {
  state: "connecting" | "live" | "lost";
  /** When the server was last heard of. */
  heardAt: Date | null;
}

const TRY_AGAIN_MS = 2_000;

export function useLive(): Live {
  const queries = useQueryClient();
  const [live, setLive] = useState<Live>({ state: "connecting", heardAt: null });
  useEffect(() => {
    const refresher = new Refresher(queries);
    let source: EventSource;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onNews = () => {
      setLive({ state: "live", heardAt: new Date() });
      refresher.news();
    };
    const onError = () => {
      setLive((before) => ({ ...before, state: "lost" }));
      // A connection that broke is tried again by the browser itself, a refusal is not.
      if (source.readyState === EventSource.CLOSED) {
        void queries.invalidateQueries({ queryKey: ["access"] });
        timer = setTimeout(open, TRY_AGAIN_MS);
      }
    };
    const open = () => {
      source = new EventSource("/api/v1/live?calls=false");
      source.addEventListener("open", onNews);
      source.addEventListener("tick", onNews);
      source.addEventListener("error", onError);
    };
    open();
    return () => {
      clearTimeout(timer);
      source.close();
      refresher.stop();
    };
  }, [queries]);
  return live;
}
