/** Cost over time, stacked by the chosen dimension, and what the range came to. */

import { Button, Group, Text, UnstyledButton } from "@mantine/core";
import { useMemo, useRef } from "react";

import type { Money } from "../api/types";
import { counted, exactMoney, money, shortMoney } from "../format";
import { colourSlots, type Group as SpendGroup, type Series } from "../shape/series";
import { MOST_GROUPS, REST_COLOUR, SERIES_COLOURS } from "../theme";
import { type ChangeView, DIMENSIONS, filtered, RANGES, type View } from "../view/state";
import { HEIGHT } from "./plotOptions";
import { Panel } from "./Panel";
import { StackedChart } from "./StackedChart";
import { useSpendOverTime } from "./useSpendOverTime";

export function SpendChart({ view, change }: { view: View; change: ChangeView }) {
  const range = RANGES[view.range];
  const query = useSpendOverTime(view);
  const series = query.data?.series;
  const colours = useColours(series, view.by);
  const total = query.data?.totals["cost_usd"] as Money | null | undefined;
  return (
    <Panel
      title={`Spend by ${DIMENSIONS[view.by].toLowerCase()}, last ${range.label}`}
      aside={
        series && (
          <Text size="sm" c="dimmed" ta="right" component="div">
            <Text span fw={600} c="bright" className="number" title={exactMoney(total)} data-testid="range-total">
              {money(total)}
            </Text>
            <Text span inherit visibleFrom="sm">
              {" "}
              · {counted(Number(query.data?.totals["calls"]), "call")}, per {range.interval}
            </Text>
          </Text>
        )
      }
      query={query}
      height={HEIGHT}
      isEmpty={(data) => data.series.groups.length === 0}
      empty={<NothingHere view={view} change={change} />}
    >
      {(data) => (
        <>
          <StackedChart
            series={data.series}
            end={data.end}
            colours={colours}
            interval={range.interval}
            timezone={view.timezone}
            label={`Cost per ${range.interval}: ${data.series.groups.map(groupWords).join(", ")}. Arrow keys read the bars.`}
          />
          <Legend series={data.series} colours={colours} view={view} change={change} />
        </>
      )}
    </Panel>
  );
}

function useColours(series: Series | undefined, by: string): string[] {
  const slots = useRef({ by, of: new Map<string, number>() });
  return useMemo(() => {
    const named = series?.groups.filter((group) => !group.isRest).map((group) => group.name) ?? [];
    const before = slots.current.by === by ? slots.current.of : new Map<string, number>();
    slots.current = { by, of: colourSlots(before, named, MOST_GROUPS) };
    return series?.groups.map((g) => (g.isRest ? REST_COLOUR : SERIES_COLOURS[slots.current.of.get(g.name)!]!)) ?? [];
  }, [series, by]);
}

interface LegendProps {
  series: Series;
  colours: string[];
  view: View;
  change: ChangeView;
}

function Legend({ series, colours, view, change }: LegendProps) {
  return (
    <Group gap="4px 16px" mt="xs">
      {series.groups.map((group, index) => (
        <UnstyledButton
          key={`${group.isRest} ${group.name}`}
          className="legend"
          disabled={group.value === null || view.filters[view.by] === group.value}
          onClick={() => change({ filters: filtered(view.filters, view.by, group.value) })}
          title={group.value === null ? undefined : `Show only ${group.name}`}
        >
          <span className="swatch" style={{ background: colours[index] }} />
          <span className="cut">{group.name}</span>
          <span className="dim number" title={exactMoney(group.total)}>
            {group.total === null ? "not priced" : shortMoney(group.total)}
          </span>
        </UnstyledButton>
      ))}
    </Group>
  );
}

function groupWords(group: SpendGroup): string {
  return `${group.name} ${group.total === null ? "not priced" : money(group.total)}`;
}

function NothingHere({ view, change }: { view: View; change: ChangeView }) {
  const isFiltered = Object.keys(view.filters).length > 0;
  return (
    <>
      No calls in the last {RANGES[view.range].label}
      {isFiltered ? " match the filters" : ""}.
      <Group gap="xs" justify="center" mt="sm">
        {view.range !== "30d" && (
          <Button size="compact-sm" variant="default" onClick={() => change({ range: "30d" })}>
            Look at 30 days
          </Button>
        )}
        {isFiltered && (
          <Button size="compact-sm" variant="default" onClick={() => change({ filters: {} })}>
            Clear the filters
          </Button>
        )}
      </Group>
    </>
  );
}
