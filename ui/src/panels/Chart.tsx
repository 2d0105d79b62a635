/** A chart over time. What draws it is loaded beside its numbers; until it has come, its place is kept. */

import { Suspense, useEffect } from "react";

import { whenIdle } from "../idle";
import { lazily } from "../lazily";
import { HEIGHT } from "./chartFrame";
import type { ChartProps } from "./TimeChart";

const load = () => import("./TimeChart");
const TimeChart = lazily(load);


/** For the labels of charts. */
export const KEYS = "Arrow keys read the bars, with Shift they choose a time, Enter shows it.";

/** For who knows that there will be one, before there are numbers to draw. */
export function useChartSoon(): void {
  useEffect(() => whenIdle(() => void load().catch(() => undefined)), []); // `TimeChart` tries again
}

export function Chart(props: ChartProps) {
  return (
    <Suspense fallback={<div style={{ height: HEIGHT }} />}>
      <TimeChart {...props} />
    </Suspense>
  );
}
