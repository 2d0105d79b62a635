/** What was asked, and the answers as long as they are fresh. */

import { QueryClient, QueryCache } from "@tanstack/react-query";

import { ApiError } from "./client";

const STALE_MS = 500;
/** An answer to what was asked before anything was drawn stays fresh until it is shown for the first time. */
const UNSEEN_STALE_MS = 5_000;

/** Hashes of what was asked before anything was drawn. */
export const askedEarly = new Set<string>();

export const queries: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: ({ queryHash, state }) => (askedEarly.has(queryHash) && state.dataUpdateCount === 1 ? UNSEEN_STALE_MS : STALE_MS),
      retry: (failures, error) => failures < 1 && !(error instanceof ApiError && error.status < 500),
    },
  },
  queryCache: new QueryCache({
    // A session that ended is noticed by whichever panel asks next.
    onError: (error, query) => {
      const isOther = query.queryKey[0] !== "access";
      if (isOther && error instanceof ApiError && error.isRefusal) void queries.invalidateQueries({ queryKey: ["access"] });
    },
  }),
});
