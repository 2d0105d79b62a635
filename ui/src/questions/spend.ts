/** What the panels about spend ask, each as they all share it. */

import { ask, calls, forecast, limits } from "../api/client";
import type { Answer, CallPage, Forecast, Limit } from "../api/types";
import { MOST_GROUPS } from "../colours";
import type { LiveQuestion } from "../live/question";
import { type Series, series } from "../shape/series";
import type { Dimension } from "../view/names";
import { bucketsOf, lookOf, periodOf, type TimeRange } from "../view/range";
import type { View } from "../view/state";
import { dateIn, endOfBucket, firstOfMonth } from "../view/zone";

const TOTALS = ["cost_usd", "calls", "errors", "input_tokens", "output_tokens", "total_tokens", "cache_hit_rate"];
/** What changes little while calls come in. */
const SLOW_SECONDS = 60;
const MOST_TOP = 7;

type Asker = Pick<View, "range" | "timezone" | "filters">;

export const NOW_MINUTES = 5;

export function lately(view: Asker): LiveQuestion<Answer> {
  return totals(`${NOW_MINUTES}m`, view, 1);
}

export function today(view: Asker): LiveQuestion<Answer> {
  return totals(dateIn(view.timezone, new Date()), view, 1);
}

export function monthToDate(view: Asker): LiveQuestion<Answer> {
  return totals(firstOfMonth(dateIn(view.timezone, new Date())), view, 2);
}

function totals(from: string, { timezone, filters }: Asker, paceSeconds: number): LiveQuestion<Answer> {
  return { key: ["totals", from, timezone, filters], paceSeconds, ask: () => ask({ measures: TOTALS, from, timezone, filters }) };
}

export interface SpendOverTime {
  series: Series;
  /** Where the last bucket ends, seconds since the epoch. */
  end: number;
  totals: Answer["totals"];
  coverage: Answer["coverage"];
}

/** Cost and calls of the range, by time and by the chosen dimension. */
export function overTime(view: View): LiveQuestion<SpendOverTime> {
  const { range, by, timezone, filters } = view;
  return {
    key: ["over time", range, by, timezone, filters],
    rows: by,
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => load(view, new Date()),
  };
}

async function load({ range, by, timezone, filters }: View, now: Date): Promise<SpendOverTime> {
  const { interval } = lookOf(range);
  const { rows, totals, coverage } = await ask({
    measures: ["cost_usd", "calls"],
    group_by: [by],
    filters,
    ...periodOf(range, timezone, now),
    interval,
    timezone,
    order_by: "-cost_usd",
    limit: MOST_GROUPS,
  });
  const found = series(rows, by, "cost_usd", bucketsOf(range, interval, timezone, now));
  return { series: found, end: endOfBucket(interval, found.times.at(-1)!, timezone), totals, coverage };
}

/** The largest spenders of one dimension, with the rest as one row. */
export function top(dimension: Dimension, { range, timezone, filters }: Asker): LiveQuestion<Answer> {
  return {
    key: ["top", dimension, range, timezone, filters],
    rows: dimension,
    paceSeconds: lookOf(range).paceSeconds,
    ask: () =>
      ask({
        measures: ["cost_usd", "calls", "total_tokens", "unpriced_calls"],
        group_by: [dimension],
        filters,
        ...periodOf(range, timezone, new Date()),
        timezone,
        order_by: "-cost_usd",
        limit: MOST_TOP,
      }),
  };
}

/** What the month under way may come to. */
export function monthEnd({ timezone, filters }: Asker): LiveQuestion<Forecast> {
  return { key: ["forecast", timezone, filters], paceSeconds: SLOW_SECONDS, ask: () => forecast({ timezone, filters }) };
}

export function daysOfMonth({ timezone, filters }: Asker): LiveQuestion<Answer> {
  return {
    key: ["days of the month", timezone, filters],
    paceSeconds: SLOW_SECONDS,
    ask: () => ask({ measures: ["cost_usd", "calls"], filters, from: firstOfMonth(dateIn(timezone, new Date())), timezone, interval: "day" }),
  };
}

const DAY_SECONDS = 86_400;
const WEEKS_DAYS = 7;
const MOST_DAYS = 93;
/** Where the range is less than a week, or so long that its hours would be thousands. */
const INSTEAD: TimeRange = "30d";

/** The range whose hours are looked at. */
export function heatRange(range: TimeRange): TimeRange {
  const days = lookOf(range).seconds / DAY_SECONDS;
  return days < WEEKS_DAYS || days > MOST_DAYS ? INSTEAD : range;
}

export function hours({ range, timezone, filters }: Asker): LiveQuestion<Answer> {
  const looked = heatRange(range);
  return {
    key: ["heat", looked, timezone, filters],
    paceSeconds: SLOW_SECONDS,
    ask: () => ask({ measures: ["cost_usd", "calls", "unpriced_calls"], filters, ...periodOf(looked, timezone, new Date()), timezone, interval: "hour" }),
  };
}

export const FIRST_CALLS = 25;

/** The newest calls of the range. */
export function lastCalls({ range, timezone, filters }: Asker, limit = FIRST_CALLS): LiveQuestion<CallPage> {
  return {
    key: ["calls", range, timezone, filters, limit],
    paceSeconds: limit > FIRST_CALLS ? 5 : 1,
    ask: () => calls(filters, { ...periodOf(range, timezone, new Date()), timezone, limit }),
  };
}

/** How every limit stands. It is asked for again and again, whatever comes in. */
export const HOW_LIMITS_STAND: LiveQuestion<Limit[]> = { key: ["limits"], still: true, paceSeconds: SLOW_SECONDS, ask: limits };
