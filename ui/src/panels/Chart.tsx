/** A chart over time. What draws it is loaded beside its numbers; until it has come, its place is kept. */

import { Suspense } from "react";

import { lazily } from "../lazily";
import { HEIGHT } from "./chartFrame";
import type { ChartProps } from "./TimeChart";

const TimeChart = lazily(() => import("./TimeChart"));

/** For the labels of charts. */
export const KEYS = "Arrow keys read the bars, with Shift they choose a time, Enter shows it.";

export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<div style={{ height: HEIGHT }} />}>
      <TimeChart {...props} />
    </Suspense>
  );
}
