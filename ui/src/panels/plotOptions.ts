/** How groups over time are drawn by uPlot. */

import uPlot from "uplot";

import { measured, money, shortly } from "../format";
import type { Kind } from "../view/measures";
import { type Interval, isOfDays } from "../view/zone";

export const HEIGHT = 260;
const DAY_SECONDS = 86_400;

/** Pixels that a date needs below its bar. */
const DATE_WIDTH = 64;

export interface Look {
  width: number;
  interval: Interval;
  dark: boolean;
  timezone: string;
  /** Colours from the bottom of the stack to its top. */
  colours: string[];
  lines: boolean;
  kind: Kind;
  /** Whether the last series is the time before. */
  compares: boolean;
}

/** `edges` are the first and last instant on the time axis; `onHover` gets the instant under the pointer. */
export function plotOptions(look: Look, edges: () => [number, number], onHover: (at: number | null, left: number) => void): uPlot.Options {
  const isDaily = isOfDays(look.interval);
  const ink = look.dark ? "#a3acbb" : "#5d6675";
  const grid = { stroke: look.dark ? "#2a2e36" : "#eceef2", width: 1 };
  const axis = { stroke: ink, grid, ticks: { show: false }, font: "12px Inter, system-ui, sans-serif" };
  const bars = uPlot.paths.bars!({ size: [0.88, 48, 1], align: 1 });
  return {
    width: look.width,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    hooks: { setCursor: [(plot) => onHover(instantUnder(plot), plot.bbox.left / uPlot.pxRatio + (plot.cursor.left ?? 0))] },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), look.timezone),
    scales: {
      x: { range: () => edges() },
      y: { range: (_plot, low, high) => [Math.min(low, 0) * 1.08, Math.max(high, 1e-9) * 1.08] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: DATE_WIDTH,
        size: 30,
        splits: isDaily ? (plot) => middles(plot, edges()[1]) : undefined,
        values: (_plot, ticks, _axis, _space, step) =>
          ticks.map((tick) => (tick >= edges()[1] ? "" : axisTime(tick, isDaily ? DAY_SECONDS : step, look.timezone))),
      },
      { ...axis, size: 68, values: (_plot, ticks) => ticks.map((tick) => axisValue(look.kind, tick)) },
    ],
    series: [
      {},
      ...[...look.colours].reverse().map((colour) => (look.lines ? line(colour) : { paths: bars, fill: colour, width: 0, points: { show: false } })),
      ...(look.compares ? [{ ...line(ink), dash: [4, 4], width: 1.5 }] : []),
    ],
  };
}

function line(stroke: string): uPlot.Series {
  return { stroke, width: 2, points: { show: false }, spanGaps: true };
}

function axisValue(kind: Kind, tick: number): string {
  if (kind === "money") return money(tick.toFixed(12));
  return kind === "count" || kind === "number" ? shortly(kind, tick) : measured(kind, tick);
}

/** A date stands below the middle of its bar; where there are too many, below every other, every third, ... */
function middles(plot: uPlot, end: number): number[] {
  const starts = [...plot.data[0]];
  const every = Math.ceil((starts.length * DATE_WIDTH) / (plot.bbox.width / uPlot.pxRatio || 1));
  const middle = starts.map((start, index) => (start + (starts[index + 1] ?? end)) / 2);
  return middle.filter((_, index) => (starts.length - 1 - index) % every === 0);
}

function instantUnder(plot: uPlot): number | null {
  const left = plot.cursor.left ?? -1;
  return left < 0 ? null : plot.posToVal(left, "x");
}

function axisTime(tick: number, step: number, timezone: string): string {
  const instant = new Date(tick * 1000);
  const day = instant.toLocaleDateString("en-GB", { timeZone: timezone, day: "numeric", month: "short" });
  if (step >= DAY_SECONDS) return day;
  const time = instant.toLocaleTimeString("en-GB", { timeZone: timezone, hour: "2-digit", minute: "2-digit" });
  return time === "00:00" ? day : time;
}
