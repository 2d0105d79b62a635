/** Cost over time, stacked by the chosen dimension. */

import { Group, Text, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import { ask } from "../api/client";
import { money } from "../format";
import { cumulate, filled, groupName, NOT_SET, stack, type Stack } from "../shape/series";
import { SERIES_COLOURS } from "../theme";
import { LIVE } from "../useLive";
import { DIMENSIONS, RANGES, type View } from "../view/state";
import { Panel } from "./Panel";

const MOST_GROUPS = SERIES_COLOURS.length - 1;
const STEP_SECONDS = { minute: 60, hour: 3600, day: 86400 } as const;
const HEIGHT = 260;

export function SpendChart({ view }: { view: View }) {
  const range = RANGES[view.range];
  const query = useQuery({
    queryKey: [LIVE, "chart", view],
    queryFn: () => load(view),
    placeholderData: (previous) => previous,
  });
  return (
    <Panel
      title={`Spend by ${DIMENSIONS[view.by].toLowerCase()}, last ${range.label}`}
      aside={
        <Text size="xs" c="dimmed" visibleFrom="sm">
          per {range.interval}, {view.timezone}
        </Text>
      }
      query={query}
      height={HEIGHT}
      isEmpty={(series) => series.times.length === 0}
      empty="No calls in this range yet. Point a client at the gateway and its first call shows up here within a second."
    >
      {(series) => <StackedChart series={series} view={view} />}
    </Panel>
  );
}

async function load(view: View): Promise<Stack> {
  const { from, interval } = RANGES[view.range];
  const shared = { measures: ["cost_usd"], from, timezone: view.timezone };
  const top = await ask({ ...shared, group_by: [view.by], order_by: "-cost_usd", limit: MOST_GROUPS });
  const names = top.rows.filter((row) => !row["other"]).map((row) => groupName(row[view.by]));
  const values = names.filter((name) => name !== NOT_SET);
  const [totals, grouped] = await Promise.all([
    ask({ ...shared, interval }),
    ask({ ...shared, interval, group_by: [view.by], filters: values.length ? { [view.by]: { in: values } } : {} }),
  ]);
  return filled(stack(totals.rows, grouped.rows, view.by, names, "cost_usd"), STEP_SECONDS[interval]);
}

function StackedChart({ series, view }: { series: Stack; view: View }) {
  const { ref, width } = useElementSize();
  const holder = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const names = series.groups.map((group) => group.name).join("\u0000");
  const chart = useRef<uPlot | null>(null);

  useEffect(() => {
    if (!holder.current || width === 0) return;
    const plot = new uPlot(options(series, width, scheme, view.timezone), [[], ...series.groups.map(() => [])], holder.current);
    chart.current = plot;
    return () => plot.destroy();
    // The plot is built anew only when its look changes; numbers are handed over below.
  }, [names, width, scheme, view.timezone]);

  useEffect(() => {
    // Drawn back to front: the topmost sum first, each smaller one over it.
    const sums = cumulate(series.groups).reverse();
    const end = series.times.at(-1)! + STEP_SECONDS[RANGES[view.range].interval];
    // The last bucket ends where the next would begin; without that point it would have no width.
    chart.current?.setData([[...series.times, end], ...sums.map((values) => [...values, values.at(-1)!])]);
  }, [series, names, width, scheme, view]);

  return (
    <div ref={ref}>
      <div ref={holder} style={{ height: HEIGHT }} role="img" aria-label={`Cost over time: ${legendText(series)}`} />
      <Group gap="md" mt="xs">
        {series.groups.map((group, index) => (
          <Group gap={6} key={group.name} wrap="nowrap">
            <span style={{ width: 10, height: 10, borderRadius: 3, background: colour(index, series) }} />
            <Text size="xs">{group.name}</Text>
            <Text size="xs" c="dimmed" className="number">
              {money(total(group.values))}
            </Text>
          </Group>
        ))}
      </Group>
    </div>
  );
}

function options(series: Stack, width: number, scheme: string, timezone: string): uPlot.Options {
  const ink = scheme === "dark" ? "#9aa3b2" : "#667085";
  const grid = { stroke: scheme === "dark" ? "#2a2e36" : "#eceef2", width: 1 };
  const steps = uPlot.paths.stepped!({ align: 1 });
  const last = series.groups.length - 1;
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timezone),
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high, 1e-9) * 1.08] } },
    axes: [
      { stroke: ink, grid, ticks: grid, values: (_plot, ticks, _axis, _space, step) => ticks.map((tick) => axisTime(tick, step, timezone)) },
      { stroke: ink, grid, ticks: grid, size: 72, values: (_plot, ticks) => ticks.map((tick) => money(tick.toFixed(9))) },
    ],
    series: [
      {},
      ...series.groups.map((_group, index) => {
        const place = colour(last - index, series);
        return { paths: steps, stroke: place, fill: place + "cc", width: 1, points: { show: false } };
      }),
    ],
  };
}

const DAY_SECONDS = 86_400;

function axisTime(tick: number, step: number, timezone: string): string {
  const instant = new Date(tick * 1000);
  const day = instant.toLocaleDateString("en-GB", { timeZone: timezone, day: "numeric", month: "short" });
  if (step >= DAY_SECONDS) return day;
  const time = instant.toLocaleTimeString("en-GB", { timeZone: timezone, hour: "2-digit", minute: "2-digit" });
  return time === "00:00" ? day : time;
}

function colour(index: number, series: Stack): string {
  const isOther = series.groups[index]?.name === "other";
  return SERIES_COLOURS[isOther ? SERIES_COLOURS.length - 1 : index % MOST_GROUPS]!;
}

function total(values: number[]): string {
  return values.reduce((a, b) => a + b, 0).toFixed(9);
}

function legendText(series: Stack): string {
  return series.groups.map((group) => `${group.name} ${money(total(group.values))}`).join(", ");
}
