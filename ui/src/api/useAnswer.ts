/** Asking the server, and drawing what it says without holding up the browser. */

import { notifyManager, QueryObserver, useQueryClient, type UseQueryOptions, type UseQueryResult } from "@tanstack/react-query";
import { startTransition, useEffect, useReducer, useState } from "react";

/**
 * `useQuery`, but what an answer changes is drawn in pieces of a few milliseconds, between which the browser listens
 * and scrolls. `useQuery` draws at once and in one go, and a dozen panels get their answers within one second.
 */
export function useAnswer<T>(options: UseQueryOptions<T>): UseQueryResult<T> {
  const queries = useQueryClient();
  const wanted = queries.defaultQueryOptions(options);
  wanted._optimisticResults = "optimistic"; // a question that was just put is told as pending in the same frame
  const [observer] = useState(() => new QueryObserver(queries, wanted));
  const [, drawAnew] = useReducer((times: number) => times + 1, 0);
  useEffect(() => observer.setOptions(wanted), [observer, wanted]);
  useEffect(() => {
    const stop = observer.subscribe(notifyManager.batchCalls(() => startTransition(drawAnew)));
    observer.updateResult(); // an answer may have come since this was drawn
    return stop;
  }, [observer]);
  return observer.trackResult(observer.getOptimisticResult(wanted)) as UseQueryResult<T>;
}
