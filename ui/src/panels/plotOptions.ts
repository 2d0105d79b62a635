/** How groups over time are drawn by uPlot. */

import uPlot from "uplot";

import { axisMoney, clockTime, dayAndMonth, measured, shortly } from "../format";
import type { Kind } from "../view/measures";
import { type Interval, isOfDays } from "../view/zone";
import { HEIGHT } from "./chartFrame";

const DAY_SECONDS = 86_400;

/** Pixels that a date needs below its bar. */
const DATE_WIDTH = 64;
/** A click that slips is not a drag. */
export const DRAG_PIXELS = 6;

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

/** What all charts have in common. */
function frame(dark: boolean) {
  const ink = dark ? "#a3acbb" : "#5d6675";
  const grid = { stroke: dark ? "#2a2e36" : "#eceef2", width: 1 };
  return { ink, axis: { stroke: ink, grid, ticks: { show: false }, font: "12px Inter, system-ui, sans-serif" } };
}

interface MonthLook {
  width: number;
  height: number;
  dark: boolean;
  timezone: string;
}

/** Of `shape/month`: what is spent, what is expected, and the band between the lowest and the highest. */
export function monthOptions({ width, height, dark, timezone }: MonthLook): uPlot.Options {
  const { ink, axis } = frame(dark);
  const edge = { ...line(BAND_EDGE), width: 1 };
  return {
    width,
    height,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone),
    scales: { y: { range: (_plot, low, high) => [Math.min(low, 0), Math.max(high, 1e-9) * 1.08] } },
    bands: [{ series: [HIGH, LOW], fill: BAND }],
    axes: [
      { ...axis, grid: { show: false }, space: DATE_WIDTH, size: 30, values: (_plot, ticks) => ticks.map((tick) => axisTime(tick, DAY_SECONDS, timezone)) },
      { ...axis, size: 68, values: (_plot, ticks) => axisMoney(ticks) },
    ],
    series: [{}, { ...line(SPENT), fill: SPENT_GROUND }, { ...line(ink), dash: [4, 4], width: 1.5 }, edge, edge],
  };
}

const [LOW, HIGH] = [3, 4];
const BAND = "rgb(47 125 225 / 18%)";
const BAND_EDGE = "rgb(47 125 225 / 45%)";
const SPENT = "#f0b000";
const SPENT_GROUND = "rgb(240 176 0 / 18%)";

export interface Ears {
  /** The first and last instant on the time axis. */
  edges: () => [number, number];
  /** Gets the instant under the pointer. */
  onHover: (at: number | null, left: number) => void;
  /** Gets the two instants between which the pointer was dragged. */
  onDrag: (from: number, to: number) => void;
}

export function plotOptions(look: Look, { edges, onHover, onDrag }: Ears): uPlot.Options {
  const isDaily = isOfDays(look.interval);
  const { ink, axis } = frame(look.dark);
  const bars = uPlot.paths.bars!({ size: [0.88, 48, 1], align: 1 });
  return {
    width: look.width,
    height: HEIGHT,
    padding: [8, 16, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: DRAG_PIXELS }, points: { show: false } },
    hooks: {
      setCursor: [(plot) => onHover(instantUnder(plot), plot.bbox.left / uPlot.pxRatio + (plot.cursor.left ?? 0))],
      setSelect: [({ select, posToVal }) => select.width > 0 && onDrag(posToVal(select.left, "x"), posToVal(select.left + select.width, "x"))],
    },
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
      { ...axis, size: 68, values: (_plot, ticks) => axisValues(look.kind, ticks) },
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

function axisValues(kind: Kind, ticks: number[]): string[] {
  if (kind === "money") return axisMoney(ticks);
  return ticks.map((tick) => (kind === "count" || kind === "number" ? shortly(kind, tick) : measured(kind, tick)));
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
  const instant = new Date(tick * 1000).toISOString();
  const day = dayAndMonth(instant, timezone);
  if (step >= DAY_SECONDS) return day;
  const time = clockTime(instant, timezone).slice(0, "03:06".length);
  return time === "00:00" ? day : time;
}
