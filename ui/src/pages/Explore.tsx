/** Any measure by any dimension: the chart, the groups behind it, and both as a file or a command. */

import { Button, Group, Menu, Select, SegmentedControl, Stack, Switch, Text } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import { useState } from "react";

import { ask, asSql } from "../api/client";
import type { Answer } from "../api/types";
import { saveFile, saveFrom } from "../files";
import { counted, exactly, measured } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { ExploreChart } from "../panels/ExploreChart";
import { HEIGHT } from "../panels/chartFrame";
import { GroupBars, GroupTable } from "../panels/Groups";
import { nothing } from "../panels/nothing";
import { Panel } from "../panels/Panel";
import { PageLink } from "../panels/PageLink";
import { useDimensions } from "../panels/useDimensions";
import { asCommand, asCurl, csv, dimensionsOf, parquetAddress, question } from "../shape/explore";
import { MEASURES, type MeasureName } from "../view/measures";
import { type Dimension, nameInText } from "../view/names";
import { lookOf, rangeWords } from "../view/range";
import { addressed } from "../view/sample";
import { type ChartName, chartOf, CHARTS, intervalOf, TOPS, type View } from "../view/state";
import type { Interval } from "../view/zone";
import type { PageProps } from "./registry";

export default function Explore({ view, change }: PageProps) {
  const { range, timezone, filters, by, then, measure, top, compare } = view;
  const chart = chartOf(view);
  const groups = useLiveQuery({
    key: ["explore", range, timezone, filters, by, then, measure, top, compare],
    rows: [by, then, measure],
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => ask(question(view, new Date(), false)),
  });
  return (
    <Stack gap="md">
      <Controls view={view} change={change} />
      {(chart === "stacked" || chart === "lines") && <ExploreChart title={titleOf(view)} view={view} change={change} />}
      {chart === "bars" && (
        <Panel title={titleOf(view)} query={groups} height={HEIGHT} isEmpty={(answer) => answer.rows.length === 0} empty={nothing(view)}>
          {(answer) => <GroupBars answer={answer} view={view} />}
        </Panel>
      )}
      <Panel
        title={chart === "table" ? titleOf(view) : "Groups"}
        aside={<Total answer={groups.data} view={view} />}
        query={groups}
        height={320}
        isEmpty={(answer) => answer.rows.length === 0}
        empty={nothing(view)}
      >
        {(answer) => <GroupTable answer={answer} view={view} change={change} />}
      </Panel>
      <Actions groups={groups} view={view} change={change} />
    </Stack>
  );
}

function titleOf(view: View): string {
  const groups = dimensionsOf(view).map(nameInText).join(" and ");
  return `${MEASURES[view.measure].label} by ${groups}, ${rangeWords(view.range, view.timezone)}`;
}

function Total({ answer, view }: { answer: Answer | undefined; view: View }) {
  if (!answer) return null;
  const { kind } = MEASURES[view.measure];
  const amount = answer.totals[view.measure];
  return (
    <Text size="sm" c="dimmed" ta="right" component="div" className="uncut">
      <Text span fw={600} c="bright" className="number" title={exactly(kind, amount)} data-testid="explore-total">
        {measured(kind, amount)}
      </Text>
      <Text span inherit visibleFrom="sm">
        {" "}
        · {counted(Number(answer.totals["calls"]), "call")}
      </Text>
    </Text>
  );
}

function Controls({ view, change }: PageProps) {
  const [isLookedAt, setLookedAt] = useState(false);
  const dimensions = useDimensions([view.by, view.then], isLookedAt);
  const chart = chartOf(view);
  const hasTime = chart === "stacked" || chart === "lines";
  return (
    <section className="panel" aria-label="What is shown" onFocus={() => setLookedAt(true)}>
      <Group gap="sm" align="end">
        <Select
          label="Measure"
          size="xs"
          w={210}
          searchable
          allowDeselect={false}
          data={Object.entries(MEASURES).map(([value, { label }]) => ({ value, label }))}
          value={view.measure}
          onChange={(measure) => measure && change({ measure: measure as MeasureName })}
        />
        <Select
          label="By"
          size="xs"
          w={150}
          searchable
          allowDeselect={false}
          data={dimensions}
          value={view.by}
          onChange={(by) => by && change({ by: by as Dimension, then: view.then === by ? null : view.then })}
        />
        <Select
          label="And by"
          size="xs"
          w={150}
          searchable
          clearable
          placeholder="nothing else"
          data={dimensions}
          value={view.then}
          onChange={(then) => change({ then: then === view.by ? null : (then as Dimension | null) })}
        />
        <Select
          label="Interval"
          size="xs"
          w={100}
          allowDeselect={false}
          disabled={!hasTime}
          data={[...lookOf(view.range).intervals]}
          value={intervalOf(view)}
          onChange={(interval) => change({ interval: interval === lookOf(view.range).interval ? null : (interval as Interval) })}
        />
        <Select
          label="Groups"
          size="xs"
          w={90}
          allowDeselect={false}
          data={TOPS.map((top) => ({ value: String(top), label: `top ${top}` }))}
          value={String(view.top)}
          onChange={(top) => change({ top: Number(top) })}
        />
        <SegmentedControl
          aria-label="Chart"
          size="xs"
          data={Object.entries(CHARTS).map(([value, label]) => ({ value, label, disabled: value === "stacked" && !MEASURES[view.measure].adds }))}
          value={chart}
          onChange={(chosen) => change({ chart: chosen as ChartName })}
        />
        <Switch
          size="sm"
          pb={6}
          label="compare with the time before"
          checked={view.compare}
          onChange={(event) => change({ compare: event.currentTarget.checked })}
        />
      </Group>
    </section>
  );
}

function Actions({ groups, view, change }: PageProps & { groups: UseQueryResult<Answer> }) {
  const clipboard = useClipboard();
  const answer = groups.data;
  const name = `${view.measure}-by-${dimensionsOf(view).join("-")}`;
  const asked = () => question(view, new Date(), false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const copySql = () => {
    setRefusal(null);
    asSql(asked()).then(clipboard.copy, (error: Error) => setRefusal(error.message));
  };
  return (
    <Group gap="xs">
      <Menu shadow="md" position="top-start" withinPortal>
        <Menu.Target>
          <Button size="xs" variant="default" leftSection={<IconDownload size={14} />} disabled={!answer || groups.isPlaceholderData}>
            Export
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={() => answer && saveFile(`${name}.csv`, "text/csv", csv(answer, view))}>CSV of what is shown</Menu.Item>
          <Menu.Item onClick={() => answer && saveFile(`${name}.json`, "application/json", JSON.stringify(answer, null, 2))}>JSON of what is shown</Menu.Item>
          <Menu.Item onClick={() => saveFrom(addressed(parquetAddress(asked())), `${name}.parquet`)}>Parquet of the groups</Menu.Item>
          <Menu.Divider />
          <Menu.Item onClick={() => clipboard.copy(asCurl(window.location.origin + addressed("/api/v1/query"), asked()))}>Copy as an API call</Menu.Item>
          <Menu.Item disabled={view.sample} onClick={() => clipboard.copy(asCommand(asked(), view.filters))}>
            Copy as a command
          </Menu.Item>
          <Menu.Item onClick={copySql}>Copy as SQL</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <PageLink view={view} change={change} to={{ page: "calls" }} className="link text">
        Open the calls
      </PageLink>
      {clipboard.copied && (
        <Text size="sm" c="dimmed" role="status">
          Copied
        </Text>
      )}
      {refusal !== null && (
        <Text size="sm" className="bad" role="alert">
          {refusal}
        </Text>
      )}
    </Group>
  );
}
