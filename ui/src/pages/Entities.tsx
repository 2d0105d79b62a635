/** Users, teams, features and models: all of them, and one in full. */

import { Button, Group, SimpleGrid, Skeleton, Stack, Table, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery, type UseQueryResult } from "@tanstack/react-query";

import { ask, incidents } from "../api/client";
import type { Answer, Row } from "../api/types";
import { ago, changeWords, count, counted, exactly, measured, share } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { CostTotal } from "../panels/CostTotal";
import { LastCalls } from "../panels/LastCalls";
import { LimitBar } from "../panels/LimitBar";
import { OpenedCall } from "../panels/OpenedCall";
import { nothing } from "../panels/nothing";
import { PageLink } from "../panels/PageLink";
import { Panel, reasonOf } from "../panels/Panel";
import { Sparkline } from "../panels/Sparkline";
import { SpendChart } from "../panels/SpendChart";
import { TopTable } from "../panels/TopTable";
import { WideTable } from "../panels/WideTable";
import { COLUMNS, DIMENSION_OF, type Entity, everyOne, LATENCY, latencyOf, trendsOf } from "../questions/entities";
import { HOW_LIMITS_STAND } from "../questions/spend";
import { concerning, standings } from "../shape/entities";
import { rowKey, rowName } from "../shape/series";
import { MEASURES } from "../view/measures";
import { type Dimension, filtered, nameInText, nameOf } from "../view/names";
import { lookOf, periodOf, rangeWords } from "../view/range";
import { type ChangeView, PAGES, type View } from "../view/state";
import type { PageProps } from "./registry";

const ENTITIES = Object.values(DIMENSION_OF);

export default function Entities({ view, change }: PageProps) {
  const dimension = DIMENSION_OF[view.page]!;
  return view.of === null ? (
    <All dimension={dimension} view={view} change={change} />
  ) : (
    <One dimension={dimension} of={view.of} view={view} change={change} />
  );
}

function All({ dimension, view, change }: PageProps & { dimension: Entity }) {
  const { range, timezone } = view;
  const query = useLiveQuery(everyOne(dimension, view));
  const latency = useLiveQuery(latencyOf(query.data, dimension, view));
  const trends = useLiveQuery(trendsOf(query.data, dimension, view));
  return (
    <Panel
      title={`${PAGES[view.page]}, ${rangeWords(range, timezone)}`}
      aside={
        <CostTotal answer={query.data} name="entities-total">
          {(calls) => counted(calls, "call")}
        </CostTotal>
      }
      query={query}
      height={400}
      isEmpty={(answer) => answer.rows.length === 0}
      empty={nothing(view)}
    >
      {(answer) => <EntityTable answer={answer} latency={latency} trends={trends} dimension={dimension} view={view} change={change} />}
    </Panel>
  );
}

type Latencies = UseQueryResult<Map<string, Row>>;
type Trends = UseQueryResult<Map<string, number[]>>;

function EntityTable({ answer, latency, trends, dimension, view, change }: PageProps & { answer: Answer; latency: Latencies; trends: Trends; dimension: Entity }) {
  const before = new Map(answer.comparison?.rows.map((row) => [rowKey(row, dimension), row]));
  const whole = Number(answer.totals["cost_usd"] ?? 0);
  return (
    <WideTable minWidth={940}>
      <Table className="calls" fz="sm" verticalSpacing={5} horizontalSpacing={8} data-testid="entities">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{nameOf(dimension)}</Table.Th>
            <Table.Th>Over time</Table.Th>
            <Table.Th ta="right">Cost</Table.Th>
            <Table.Th ta="right">Share</Table.Th>
            <Table.Th ta="right">Change</Table.Th>
            {COLUMNS.map((name) => (
              <Table.Th key={name} ta="right">
                {MEASURES[name].label}
              </Table.Th>
            ))}
            <Table.Th ta="right">
              {MEASURES[LATENCY].label}
              {latency.isError && (
                <UnstyledButton fz="xs" td="underline" className="bad" ml={6} title={reasonOf(latency.error)} onClick={() => void latency.refetch()}>
                  try again
                </UnstyledButton>
              )}
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {answer.rows.map((row) => (
            <EntityRow key={rowKey(row, dimension)} {...{ row, before: before.get(rowKey(row, dimension)), latency, trends, whole, dimension, view, change }} />
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

interface RowProps extends PageProps {
  row: Row;
  before: Row | undefined;
  latency: Latencies;
  trends: Trends;
  whole: number;
  dimension: Entity;
}

function EntityRow({ row, before, latency, trends, whole, dimension, view, change }: RowProps) {
  const name = rowName(row, dimension);
  const cost = row["cost_usd"];
  return (
    <Table.Tr>
      <Table.Td className={row["other"] ? "group-name dim" : "group-name"}>
        {row["other"] ? (
          name
        ) : (
          <PageLink view={view} change={change} to={{ of: name }} className="link">
            {name}
          </PageLink>
        )}
      </Table.Td>
      <TrendCell trends={trends} name={name} row={row} dimension={dimension} />
      <Table.Td ta="right" className={cost === null ? "warn" : "number"} title={exactly("money", cost)}>
        {cost === null ? "not priced" : measured("money", cost)}
      </Table.Td>
      <Table.Td ta="right" className="number dim">
        {cost === null ? "–" : share(Number(cost), whole)}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {changeWords(before?.["cost_usd"] ?? (cost === null ? null : 0), cost)}
      </Table.Td>
      {COLUMNS.map((column) => (
        <Table.Td key={column} ta="right" className="number" title={exactly(MEASURES[column].kind, row[column])}>
          {measured(MEASURES[column].kind, row[column])}
        </Table.Td>
      ))}
      <LatencyCell latency={latency} row={row} dimension={dimension} />
    </Table.Tr>
  );
}

function TrendCell({ trends, name, row, dimension }: { trends: Trends; name: string; row: Row; dimension: Entity }) {
  const amounts = trends.data?.get(rowKey(row, dimension));
  return (
    <Table.Td className="spark-cell" aria-busy={!row["other"] && trends.isPending}>
      {amounts?.some(Boolean) && <Sparkline amounts={amounts} label={`Cost of ${name} over time`} />}
    </Table.Td>
  );
}

function LatencyCell({ latency, row, dimension }: { latency: Latencies; row: Row; dimension: Entity }) {
  if (!row["other"] && latency.isPending)
    return (
      <Table.Td aria-busy>
        <Skeleton height={12} width={44} ml="auto" aria-hidden />
      </Table.Td>
    );
  const found = row["other"] ? undefined : latency.data?.get(rowKey(row, dimension))?.[LATENCY];
  const { kind } = MEASURES[LATENCY];
  return (
    <Table.Td ta="right" className="number" title={row["other"] ? "asked for each, not for all others together" : exactly(kind, found)}>
      {measured(kind, found)}
    </Table.Td>
  );
}

function One({ dimension, of, view, change }: PageProps & { dimension: Entity; of: string }) {
  const narrow = { ...view, filters: filtered(view.filters, dimension, of), by: view.by === dimension ? otherThan(dimension)[0]! : view.by };
  // What is chosen in here narrows the rest; whose page it is stays in its own place of the address.
  const within: ChangeView = (changes) =>
    change(changes.filters ? { ...changes, filters: filtered(changes.filters, dimension, view.filters[dimension] ?? null) } : changes);
  return (
    <Stack gap="md">
      <Head dimension={dimension} of={of} view={view} narrow={narrow} change={change} />
      <SpendChart view={narrow} change={within} />
      <SimpleGrid cols={{ base: 1, md: 3 }} spacing="md">
        {otherThan(dimension).map((name) => (
          <TopTable key={name} title={`By ${nameInText(name)}`} dimension={name} view={narrow} change={within} />
        ))}
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <HeldTo dimension={dimension} of={of} view={view} />
        <Wrong dimension={dimension} of={of} view={view} change={change} />
      </SimpleGrid>
      <LastCalls view={narrow} change={within} />
      <OpenedCall view={narrow} change={within} />
    </Stack>
  );
}

function otherThan(dimension: Entity): Dimension[] {
  return ENTITIES.filter((name) => name !== dimension);
}

function Head({ dimension, of, view, narrow, change }: PageProps & { dimension: Entity; of: string; narrow: View }) {
  const [own, all] = [useCost(narrow), useCost(view)];
  const cost = own?.totals["cost_usd"];
  return (
    <section className="panel" aria-label={`${nameOf(dimension)} ${of}`}>
      <Group justify="space-between" align="baseline">
        <Title order={2} size="h4" className="wrap-anywhere">
          {of}
        </Title>
        <Group gap="xs">
          <Button size="compact-sm" variant="default" onClick={() => change({ of: null })}>
            All {PAGES[view.page].toLowerCase()}
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => change({ page: "why", of: null, filters: narrow.filters })}>
            Why did it change?
          </Button>
          <Button size="compact-sm" variant="default" onClick={() => change({ page: "calls", of: null, filters: narrow.filters })}>
            Calls
          </Button>
        </Group>
      </Group>
      <Text component="div" c="dimmed" size="sm">
        <Text span c="bright" className="big number" title={exactly("money", cost)} data-testid="entity-cost">
          {measured("money", cost)}
        </Text>{" "}
        {own && all && cost !== null && `${share(Number(cost), Number(all.totals["cost_usd"] ?? 0))} of all spend, `}
        {rangeWords(view.range, view.timezone)}
        {own && ` · ${count(Number(own.totals["calls"]))} calls · ${changeWords(own.comparison?.totals["cost_usd"], cost)} against the time before`}
      </Text>
    </section>
  );
}

function useCost({ range, timezone, filters }: View): Answer | undefined {
  return useLiveQuery({
    key: ["entity cost", range, timezone, filters],
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => ask({ measures: ["cost_usd", "calls"], filters, ...periodOf(range, timezone, new Date()), timezone, compare: "previous_period" }),
  }).data;
}

function HeldTo({ dimension, of, view }: { dimension: Entity; of: string; view: View }) {
  const query = useQuery({ queryKey: HOW_LIMITS_STAND.key, queryFn: HOW_LIMITS_STAND.ask });
  return (
    <Panel title="Limits" query={query} height={80} isEmpty={(found) => standings(found, dimension, of).length === 0} empty="No limit is its own.">
      {(found) => standings(found, dimension, of).map(({ limit, value }) => <LimitBar key={limit.name} name={limit.name} value={value} measure={limit.measure} view={view} />)}
    </Panel>
  );
}

function Wrong({ dimension, of, view, change }: PageProps & { dimension: Entity; of: string }) {
  const query = useQuery({ queryKey: ["incidents", "open"], queryFn: () => incidents("open") });
  return (
    <Panel title="Open alerts" query={query} height={80} isEmpty={(found) => concerning(found, dimension, of).length === 0} empty="Nothing is wrong.">
      {(found) =>
        concerning(found, dimension, of).map((one) => (
          <Text size="sm" key={one.incident_id}>
            <PageLink view={view} change={change} to={{ page: "alerts", incident: one.incident_id }} className="link">
              {one.title}
            </PageLink>{" "}
            <span className="dim">{ago(one.opened_at, new Date())}</span>
          </Text>
        ))
      }
    </Panel>
  );
}
