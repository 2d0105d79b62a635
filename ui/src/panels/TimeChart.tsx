/** Groups over time, as stacked bars or as lines, with the values under the pointer. */

import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import uPlot from "uplot";

import { sumKnown } from "../decimal";
import { bucketWords, exactly, shortly } from "../format";
import { bucketAt, heights, levels, type Series } from "../shape/series";
import type { Measure } from "../view/measures";
import type { Interval } from "../view/zone";
import { HEIGHT, plotOptions } from "./plotOptions";

interface Props {
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
}

interface Hover {
  bucket: number;
  /** Pixels from the left edge of the chart. */
  left: number;
}

export function TimeChart({ series, end, colours, interval, timezone, label, measure, lines = false, before }: Props) {
  const { ref, width } = useElementSize();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useComputedColorScheme("light") === "dark";
  const [hover, setHover] = useState<Hover | null>(null);
  // What the plot asks for while it lives: it is built anew only when its look changes.
  const shown = useRef({ series, end });
  shown.current = { series, end };
  const look = [...colours, width, dark, interval, timezone, lines, measure.label, before !== undefined].join();

  useEffect(() => {
    if (!holder.current || width === 0) return;
    const edges = (): [number, number] => [shown.current.series.times[0]!, shown.current.end];
    const onHover = (at: number | null, left: number) => {
      const bucket = at === null ? null : bucketAt(shown.current.series.times, at);
      setHover(bucket === null ? null : { bucket, left });
    };
    const options = plotOptions({ width, interval, dark, timezone, colours, lines, kind: measure.kind, compares: before !== undefined }, edges, onHover);
    plot.current = new uPlot(options, dataOf(series, lines, before), holder.current);
    return () => plot.current?.destroy();
  }, [look]);

  useEffect(() => plot.current?.setData(dataOf(series, lines, before)), [series, before]);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") plot.current?.setCursor({ left: -1, top: -1 });
    if (!step || !plot.current) return;
    event.preventDefault();
    const last = series.times.length - 1;
    const bucket = hover ? Math.min(Math.max(hover.bucket + step, 0), last) : last;
    const middle = (series.times[bucket]! + (series.times[bucket + 1] ?? end)) / 2;
    plot.current.setCursor({ left: plot.current.valToPos(middle, "x"), top: 0 });
  };

  return (
    <div ref={ref} className="chart" tabIndex={0} role="img" aria-label={label} onKeyDown={onKeyDown} onBlur={() => setHover(null)}>
      <div ref={holder} style={{ height: HEIGHT }} />
      {hover && hover.bucket < series.times.length && (
        <Values {...{ series, end, colours, interval, timezone, measure, before, width, hover }} />
      )}
    </div>
  );
}

/** Drawn back to front: of stacked ones the tallest sum first, each smaller one over it. */
function dataOf(series: Series, lines: boolean, before: number[] | undefined): uPlot.AlignedData {
  const drawn: (number | null)[][] = lines ? levels(series) : heights(series);
  return [series.times, ...drawn.reverse(), ...(before ? [series.times.map((_, index) => before[index] ?? null)] : [])];
}

type ValuesProps = Omit<Props, "label" | "lines"> & { width: number; hover: Hover };

function Values({ series, end, colours, interval, timezone, measure, before, width, hover }: ValuesProps) {
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
