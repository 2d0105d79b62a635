/** Cost over time, stacked by the chosen dimension, and what the range came to. */

import { Button, Group, Text } from "@mantine/core";

import type { Money } from "../api/types";
import { counted, exactMoney, money } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { overTime } from "../questions/spend";
import type { Group as SpendGroup } from "../shape/series";
import { filtered, nameInText } from "../view/names";
import { MEASURES } from "../view/measures";
import { lookOf, rangeWords, spanOf, theRange } from "../view/range";
import { type ChangeView, type View } from "../view/state";
import { Chart, KEYS, useChartSoon } from "./Chart";
import { WITH_LEGEND } from "./chartFrame";
import { Legend } from "./Legend";
import { Panel } from "./Panel";
import { useColours } from "./useColours";

export function SpendChart({ view, change }: { view: View; change: ChangeView }) {
  useChartSoon();
  const { interval } = lookOf(view.range);
  const query = useLiveQuery(overTime(view));
  const series = query.data?.series;
  const colours = useColours(series, view.by);
  const total = query.data?.totals["cost_usd"] as Money | null | undefined;
  return (
    <Panel
      title={`Spend by ${nameInText(view.by)}, ${rangeWords(view.range, view.timezone)}`}
      aside={
        series && (
          <Text size="sm" c="dimmed" ta="right" component="div">
            <Text span fw={600} c="bright" className="number" title={exactMoney(total)} data-testid="range-total">
              {money(total)}
            </Text>
            <Text span inherit visibleFrom="sm">
              {" "}
              · {counted(Number(query.data?.totals["calls"]), "call")}, per {interval}
            </Text>
          </Text>
        )
      }
      query={query}
      height={WITH_LEGEND}
      steady
      isEmpty={(data) => data.series.groups.length === 0}
      empty={<NothingHere view={view} change={change} />}
    >
      {(data) => (
        <>
          <Chart
            measure={MEASURES.cost_usd}
            series={data.series}
            end={data.end}
            colours={colours}
            interval={interval}
            timezone={view.timezone}
            label={`Cost per ${interval}: ${data.series.groups.map(groupWords).join(", ")}. ${KEYS}`}
            zoom={(from, to) => change({ range: spanOf(from, to) })}
          />
          <Legend
            series={data.series}
            colours={colours}
            kind="money"
            pick={({ value }) => (value === null || view.filters[view.by] === value ? null : () => change({ filters: filtered(view.filters, view.by, value) }))}
          />
        </>
      )}
    </Panel>
  );
}

function groupWords(group: SpendGroup): string {
  return `${group.name} ${group.total === null ? "not priced" : money(group.total)}`;
}

function NothingHere({ view, change }: { view: View; change: ChangeView }) {
  const isFiltered = Object.keys(view.filters).length > 0;
  return (
    <>
      No calls in {theRange(view.range, view.timezone)}
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
