import { hashKey, type QueryClient, type UseQueryResult } from "@tanstack/react-query";

import { useAnswer } from "../api/useAnswer";
import { LIVE, type LiveMeta, tookMs } from "./refresher";

/** Time passes although nothing happens: what was spent in the last minutes changes by itself. */
const OLDEST_MS = 30_000;

export interface LiveQuestion<T> {
  key: unknown[];
  /** How long the answer may stay as it is while calls come in. */
  paceSeconds: number;
  ask: () => Promise<T>;
  /** What the rows of an answer are, such as what they are grouped by: rows of another kind never stand in for them. */
  rows?: unknown;
  /** Whether it stays as it is: it does not follow the stream. */
  still?: boolean;
  /** Whether it waits for something that it asks about. */
  waits?: boolean;
}

/** A query that follows the live stream. While its key changes, the answer to the key before stays on the screen, if it has the same kind of rows. */
export function useLiveQuery<T>(question: LiveQuestion<T>): UseQueryResult<T> {
  const { paceSeconds, rows, still = false, waits = false } = question;
  return useAnswer<T>({
    ...asked(question),
    enabled: !waits,
    refetchInterval: !still && Math.max(OLDEST_MS, paceSeconds * 1000),
    placeholderData: (previous: T | undefined, of) => (hashKey([of?.meta?.["rows"]]) === hashKey([rows]) ? previous : undefined) as never,
  });
}

/** A question that others follow. */
export interface EarlyQuestion<T> extends LiveQuestion<T> {
  /** What is asked about its answer. */
  next?: (answer: T) => LiveQuestion<any>[];
}

/** Puts a question, and those that follow it, before whoever asks them is drawn: they get the same answers. */
export function askEarly<T>(queries: QueryClient, question: EarlyQuestion<T>): void {
  const about = (answer: T) => question.next?.(answer).forEach((one) => askEarly(queries, one));
  void queries.fetchQuery(asked(question)).then(about, () => undefined); // whoever shows it says that it failed
}

function asked<T>({ key, paceSeconds, ask, rows, still = false }: LiveQuestion<T>) {
  const queryKey = still ? key : [LIVE, ...key];
  return { queryKey, queryFn: () => timed(hashKey(queryKey), ask), meta: { paceSeconds, rows } satisfies LiveMeta };
}

async function timed<T>(hash: string, ask: () => Promise<T>): Promise<T> {
  const start = performance.now();
  try {
    return await ask();
  } finally {
    tookMs.set(hash, performance.now() - start);
  }
}
