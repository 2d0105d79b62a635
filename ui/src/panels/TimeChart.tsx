/** Groups over time, as stacked bars or as lines, with the values under the pointer. */

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import uPlot from "uplot";

import { sumKnown } from "../decimal";
import { bucketWords, exactly, shortly } from "../format";
import { bucketAt, heights, levels, type Series } from "../shape/series";
import type { Measure } from "../view/measures";
import type { Interval } from "../view/zone";
import { HEIGHT } from "./chartFrame";
import { DRAG_PIXELS, plotOptions } from "./plotOptions";

export interface ChartProps {
  series: Series;
  end: number;
  /** Colours of the groups, in their order. */
  colours: string[];
  interval: Interval;
  timezone: string;
  label: string;
  measure: Measure;
  lines?: boolean;
  /** What all groups came to in the buckets of the time before. */
  before?: number[];
  /** Shows only the time between two instants, seconds since the epoch. */
  zoom: (from: number, to: number) => void;
}

interface Hover {
  bucket: number;
  /** Pixels from the left edge of the chart. */
  left: number;
}

export default function TimeChart({ series, end, colours, interval, timezone, label, measure, lines = false, before, zoom }: ChartProps) {
  const { ref, width } = useElementSize();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useComputedColorScheme("light") === "dark";
  const [hover, setHover] = useState<Hover | null>(null);
  /** The bucket from which on a time is being chosen by keyboard. */
  const [anchor, setAnchor] = useState<number | null>(null);
  /** Where a finger touched the plot: pixels from its left edge, and the bucket there. */
  const touch = useRef<{ left: number; bucket: number } | null>(null);
  // What the plot asks for while it lives: it is built anew only when its look changes.
  const shown = useRef({ series, end, zoom });
  shown.current = { series, end, zoom };
  const look = [...colours, width, dark, interval, timezone, lines, measure.label, before !== undefined].join();

  useEffect(() => {
    if (!holder.current || width === 0) return;
    const edges = (): [number, number] => [shown.current.series.times[0]!, shown.current.end];
    const onHover = (at: number | null, left: number) => {
      const bucket = at === null ? null : bucketAt(shown.current.series.times, at);
      setHover(bucket === null ? null : { bucket, left });
    };
    const onDrag = (from: number, to: number) => zoomTo(bucketAt(shown.current.series.times, from) ?? 0, bucketAt(shown.current.series.times, to) ?? 0);
    const options = plotOptions({ width, interval, dark, timezone, colours, lines, kind: measure.kind, compares: before !== undefined }, { edges, onHover, onDrag });
    plot.current = new uPlot(options, dataOf(series, lines, before), holder.current);
    return () => plot.current?.destroy();
  }, [look]);

  useEffect(() => plot.current?.setData(dataOf(series, lines, before)), [series, before]);

  const zoomTo = (one: number, other: number) => {
    const { series: { times }, end: last, zoom: show } = shown.current;
    const [first, final] = [Math.min(one, other), Math.max(one, other)];
    choose(null);
    show(times[first]!, times[final + 1] ?? last);
  };

  /** Marks the buckets between two; none without them. */
  const choose = (from: number | null, to = 0) => {
    setAnchor(from);
    const { times } = shown.current.series;
    const at = (bucket: number) => plot.current!.valToPos(times[bucket] ?? shown.current.end, "x");
    const [left, right] = from === null ? [0, 0] : [at(Math.min(from, to)), at(Math.max(from, to) + 1)];
    plot.current?.setSelect({ left, top: 0, width: right - left, height: from === null ? 0 : plot.current.over.clientHeight }, false);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") {
      choose(null);
      plot.current?.setCursor({ left: -1, top: -1 });
    }
    if (event.key === "Enter" && hover) zoomTo(anchor ?? hover.bucket, hover.bucket);
    if (!step || !plot.current) return;
    event.preventDefault();
    const last = series.times.length - 1;
    const bucket = hover ? Math.min(Math.max(hover.bucket + step, 0), last) : last;
    const middle = (series.times[bucket]! + (series.times[bucket + 1] ?? end)) / 2;
    choose(event.shiftKey ? (anchor ?? hover?.bucket ?? bucket) : null, bucket);
    const left = plot.current.valToPos(middle, "x");
    setHover({ bucket, left }); // at once: the plot tells of its cursor later, perhaps after the next key
    plot.current.setCursor({ left, top: 0 });
  };

  const onBlur = () => {
    choose(null);
    setHover(null);
  };

  // The plot itself hears the mouse only. Where a finger scrolls instead, the browser takes it away and says so.
  const underFinger = (event: PointerEvent) => {
    const { left, width: wide } = plot.current!.over.getBoundingClientRect();
    const at = Math.min(Math.max(event.clientX - left, 0), wide - 1);
    return { left: at, bucket: bucketAt(series.times, plot.current!.posToVal(at, "x")) ?? 0 };
  };
  const onPointerDown = (event: PointerEvent) => {
    const isOnPlot = event.pointerType === "touch" && event.isPrimary && plot.current?.over.contains(event.target as Node);
    touch.current = isOnPlot ? underFinger(event) : null;
  };
  const onPointerMove = (event: PointerEvent) => {
    if (touch.current === null) return;
    const { left, bucket } = underFinger(event);
    if (anchor === null && Math.abs(left - touch.current.left) < DRAG_PIXELS) return;
    choose(touch.current.bucket, bucket);
    setHover({ bucket, left: plot.current!.valToPos(series.times[bucket]!, "x") });
  };
  const onPointerUp = (event: PointerEvent) => {
    const from = touch.current;
    touch.current = null;
    if (from && anchor !== null) zoomTo(from.bucket, underFinger(event).bucket);
  };
  const onPointerCancel = () => {
    if (touch.current) onBlur();
    touch.current = null;
  };

  return (
    <div ref={ref} className="chart" tabIndex={0} role="img" aria-label={label} onKeyDown={onKeyDown} onBlur={onBlur} {...{ onPointerDown, onPointerMove, onPointerUp, onPointerCancel }}>
      <div ref={holder} style={{ height: HEIGHT }} />
      {hover && hover.bucket < series.times.length && (
        <Values {...{ series, end, colours, interval, timezone, measure, before, width, hover, anchor }} done={touch.current ? "Letting go" : "Enter"} />
      )}
    </div>
  );
}

/** Drawn back to front: of stacked ones the tallest sum first, each smaller one over it. */
function dataOf(series: Series, lines: boolean, before: number[] | undefined): uPlot.AlignedData {
  const drawn: (number | null)[][] = lines ? levels(series) : heights(series);
  return [series.times, ...drawn.reverse(), ...(before ? [series.times.map((_, index) => before[index] ?? null)] : [])];
}

type ValuesProps = Omit<ChartProps, "label" | "lines" | "zoom"> & { width: number; hover: Hover; anchor: number | null; done: string };

function Values({ series, end, colours, interval, timezone, measure, before, width, hover, anchor, done }: ValuesProps) {
  const { bucket, left } = hover;
  const lines = series.groups.flatMap((group, index) => {
    const amount = group.amounts[bucket];
    return amount === undefined ? [] : [{ name: group.name, amount, colour: colours[index] }];
  });
  const total = sumKnown(lines.map((line) => line.amount));
  const side = left > width / 2 ? { right: width - left + 12 } : { left: left + 12 };
  return (
    <div className="chart-values" style={side} role="status" data-testid="chart-values">
      <div className="chart-values-head">
        <span>{bucketWords(series.times[bucket]!, series.times[bucket + 1] ?? end, interval, timezone)}</span>
        {(measure.adds || !lines.length) && (
          <strong className="number" title={exactly(measure.kind, total)}>
            {lines.length ? amountWords(measure, total) : "no calls"}
          </strong>
        )}
      </div>
      {lines.map((line) => (
        <div key={line.name} className="chart-values-line">
          <span className="swatch" style={{ background: line.colour }} />
          <span className="cut">{line.name}</span>
          <span className="number">{amountWords(measure, line.amount)}</span>
        </div>
      ))}
      {anchor !== null && <div className="dim">{done} shows from {bucketWords(series.times[Math.min(anchor, bucket)]!, end, interval, timezone)} on, {Math.abs(anchor - bucket) + 1} bars.</div>}
      {before?.[bucket] !== undefined && (
        <div className="chart-values-line dim">
          <span>the time before</span>
          <span className="number">{shortly(measure.kind, before[bucket].toFixed(12))}</span>
        </div>
      )}
    </div>
  );
}

function amountWords(measure: Measure, amount: string | null): string {
  return amount === null && measure.kind === "money" ? "not priced" : shortly(measure.kind, amount);
}
