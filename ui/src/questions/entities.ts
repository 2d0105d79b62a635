/** What the pages of users, teams, features and models ask about all of them. */

import { ask } from "../api/client";
import type { Answer, Row } from "../api/types";
import type { EarlyQuestion, LiveQuestion } from "../live/question";
import { ofShown } from "../shape/entities";
import { rowKey } from "../shape/series";
import { sparks } from "../shape/sparkline";
import type { MeasureName } from "../view/measures";
import { bucketsOf, lookOf, periodOf } from "../view/range";
import type { View } from "../view/state";
import { isOfDays } from "../view/zone";

export type Entity = "user_id" | "team" | "feature" | "model";
export const DIMENSION_OF: Partial<Record<View["page"], Entity>> = { users: "user_id", teams: "team", features: "feature", models: "model" };
export const COLUMNS: MeasureName[] = ["calls", "total_tokens", "cost_per_call", "cache_hit_rate", "error_rate"];
/** It is read from the calls themselves, the others from sums: it comes in after them. */
export const LATENCY: MeasureName = "latency_ms_p95";
const MOST_ROWS = 50;
/** A line changes little while calls come in. */
const TREND_SECONDS = 10;

export const everyOne = (dimension: Entity, { range, timezone, filters }: View): LiveQuestion<Answer> => ({
  key: ["entities", dimension, range, timezone, filters],
  rows: dimension,
  paceSeconds: lookOf(range).paceSeconds,
  ask: () =>
    ask({
      measures: ["cost_usd", "unpriced_calls", ...COLUMNS],
      group_by: [dimension],
      filters,
      ...periodOf(range, timezone, new Date()),
      timezone,
      order_by: "-cost_usd",
      limit: MOST_ROWS,
      compare: "previous_period",
    }),
});

/** All of them, and what is asked about those that are shown. */
export function everyOneInFull(view: View): EarlyQuestion<Answer>[] {
  const dimension = DIMENSION_OF[view.page];
  if (!dimension || view.of !== null) return [];
  return [{ ...everyOne(dimension, view), next: (answer: Answer) => [latencyOf(answer, dimension, view), trendsOf(answer, dimension, view)] }];
}

/** The filters under which there are the groups that have rows of their own. Only of users there are so many that it
 * waits for which those are. */
function narrowedToShown(answer: Answer | undefined, dimension: Entity, filters: View["filters"]): Record<string, unknown> | undefined {
  return dimension === "user_id" ? answer && ofShown(filters, answer, dimension) : filters;
}

/** What each cost over the range. It is a shape without numbers, and sums by user are kept for days of UTC: there it is
 * those, since days of another zone would be added up from the calls. */
export function trendsOf(answer: Answer | undefined, dimension: Entity, { range, timezone, filters }: View): LiveQuestion<Map<string, number[]>> {
  const shown = narrowedToShown(answer, dimension, filters);
  const { interval, paceSeconds } = lookOf(range);
  const zone = dimension === "user_id" && isOfDays(interval) ? "UTC" : timezone;
  return {
    key: ["entities' trends", dimension, range, zone, shown],
    rows: dimension,
    paceSeconds: Math.max(TREND_SECONDS, paceSeconds),
    waits: !shown,
    ask: async () => {
      const now = new Date();
      const asked = { measures: ["cost_usd"], group_by: [dimension], filters: shown!, ...periodOf(range, zone, now), interval, timezone: zone };
      const { rows } = await ask({ ...asked, order_by: "-cost_usd", limit: MOST_ROWS, totals: false });
      return sparks(rows, dimension, bucketsOf(range, interval, zone, now));
    },
  };
}

export function latencyOf(answer: Answer | undefined, dimension: Entity, { range, timezone, filters }: View): LiveQuestion<Map<string, Row>> {
  const shown = narrowedToShown(answer, dimension, filters);
  return {
    key: ["entities' latency", dimension, range, timezone, shown],
    rows: dimension,
    paceSeconds: lookOf(range).paceSeconds,
    waits: !shown,
    ask: async () => {
      const asked = { measures: [LATENCY], group_by: [dimension], filters: shown!, ...periodOf(range, timezone, new Date()), timezone };
      const { rows } = await ask({ ...asked, order_by: "-calls", totals: false });
      return new Map(rows.map((row) => [rowKey(row, dimension), row]));
    },
  };
}
