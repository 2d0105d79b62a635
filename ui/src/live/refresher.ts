/** Which live queries ask again when there is news, and when. */

import type { Query, QueryClient } from "@tanstack/react-query";

/** Queries whose key begins with this word follow the stream. */
export const LIVE = "live";

const SHORTEST_PAUSE_MS = 1_000;

/** Timers are a little early or late; a beat is not to be missed for that. */
const TIMER_SLACK_MS = 100;

/** A query that took long rests so many times as long. */
const RESTS = 4;

export interface LiveMeta extends Record<string, unknown> {
  paceSeconds: number;
  rows?: unknown;
}

/** How long each query took last, by its hash. */
export const tookMs = new Map<string, number>();

export function isDue(query: Pick<Query, "meta" | "queryHash" | "state">, now: number): boolean {
  const { paceSeconds } = query.meta as LiveMeta;
  const took = tookMs.get(query.queryHash) ?? 0;
  const begun = Math.max(query.state.dataUpdatedAt, query.state.errorUpdatedAt) - took;
  return now - begun >= Math.max(paceSeconds * 1000, RESTS * took) - TIMER_SLACK_MS;
}

/**
 * Collects news and lets the live queries that are on the screen ask again: at once when all was quiet, then at most
 * once a second, and each no more often than its pace allows. News that a query has not seen are never forgotten.
 */
export class Refresher {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly waiting = new Set<string>();

  constructor(private readonly queries: QueryClient) {}

  news(): void {
    for (const query of this.shown()) this.waiting.add(query.queryHash);
    if (this.timer === undefined) this.refresh();
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private shown(): Query[] {
    return this.queries.getQueryCache().findAll({ queryKey: [LIVE], type: "active" });
  }

  private refresh(): void {
    const shown = this.shown().filter((query) => this.waiting.has(query.queryHash));
    // What is under way may have read the store before the news came.
    const due = document.hidden ? [] : shown.filter((q) => q.state.fetchStatus === "idle" && isDue(q, Date.now()));
    for (const query of due) {
      this.waiting.delete(query.queryHash);
      void query.fetch().catch(() => undefined); // the panel shows what went wrong
    }
    const left = shown.length > due.length;
    this.timer = left || due.length ? setTimeout(() => this.again(), SHORTEST_PAUSE_MS) : undefined;
    if (!left) this.waiting.clear();
  }

  private again(): void {
    this.timer = undefined;
    if (this.waiting.size) this.refresh();
  }
}
