import type { UseQueryResult } from "@tanstack/react-query";

import { ask } from "../api/client";
import type { Answer } from "../api/types";
import { useLiveQuery } from "../live/useLiveQuery";
import { type Series, series } from "../shape/series";
import { MOST_GROUPS } from "../theme";
import { bucketsOf, lookOf, periodOf } from "../view/range";
import { type View } from "../view/state";
import { endOfBucket } from "../view/zone";

export interface SpendOverTime {
  series: Series;
  /** Where the last bucket ends, seconds since the epoch. */
  end: number;
  totals: Answer["totals"];
  coverage: Answer["coverage"];
}

/** Cost and calls of the range, by time and by the chosen dimension. Asked once for all panels that show it. */
export function useSpendOverTime(view: View): UseQueryResult<SpendOverTime> {
  const { range, by, timezone, filters } = view;
  return useLiveQuery({
    key: ["over time", range, by, timezone, filters],
    rows: by,
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => load(view, new Date()),
  });
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
