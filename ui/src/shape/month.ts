/** The month under way as running sums, and what it may come to. For drawing only: amounts are floats here. Pure. */

import type { Forecast, Row } from "../api/types";

export interface Curve {
  /** Seconds since the epoch, ascending. */
  times: number[];
  spent: (number | null)[];
  /** From now to the end, between `low` and `high`: as if every hour to come were like the others. */
  expected: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
}

/** Rows of days, each beginning at `time`; what a day cost is there at its end, that of today now. */
export function curve(rows: Row[], told: Forecast): Curve {
  const [start, at, end] = [told.from, told.at, told.to].map((moment) => Date.parse(moment) / 1000) as [number, number, number];
  const days = rows.map((row) => Date.parse(String(row["time"])) / 1000);
  let sum = 0;
  const points: [number, number][] = [[start, 0]];
  rows.forEach((row, index) => {
    const until = Math.min(days[index + 1] ?? at, at);
    if (days[index]! > start && points.at(-1)![0] < days[index]!) points.push([days[index]!, sum]);
    sum += Number(row["cost_usd"] ?? 0);
    points.push([until, sum]);
  });
  if (points.at(-1)![0] < at) points.push([at, sum]);
  const isKnown = told.forecast_usd !== null;
  const blank = points.slice(0, -1).map(() => null);
  const rest = (goal: string | null) => (isKnown ? [...blank, sum, Number(goal)] : [...blank, null, null]);
  return {
    times: [...points.map(([time]) => time), end],
    spent: [...points.map(([, amount]) => amount), null],
    expected: rest(told.forecast_usd),
    low: rest(told.low_usd),
    high: rest(told.high_usd),
  };
}
