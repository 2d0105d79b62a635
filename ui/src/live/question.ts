/** Questions that follow the live stream; they may be put before anything is drawn. */

import { hashKey, type QueryClient } from "@tanstack/react-query";

import { askedEarly } from "../api/queries";
import { LIVE, type LiveMeta, tookMs } from "./refresher";

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

/** A question that others follow. */
export interface EarlyQuestion<T> extends LiveQuestion<T> {
  /** What is asked about its answer. */
  next?: (answer: T) => LiveQuestion<any>[];
}

/** Puts a question, and those that follow it, before whoever asks them is drawn: they get the same answers. */
export function askEarly<T>(queries: QueryClient, question: EarlyQuestion<T>): void {
  const about = (answer: T) => question.next?.(answer).forEach((one) => askEarly(queries, one));
  const wanted = asked(question);
  askedEarly.add(hashKey(wanted.queryKey));
  void queries.fetchQuery(wanted).then(about, () => undefined); // whoever shows it says that it failed
}

export function asked<T>({ key, paceSeconds, ask, rows, still = false }: LiveQuestion<T>) {
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
