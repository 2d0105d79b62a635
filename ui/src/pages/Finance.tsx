/** For those who look after the money: what is charged to whom, and what outcomes cost and earned. */

import { Button, Code, Group, Stack, Table, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";

import { chargeback, outcomes } from "../api/client";
import type { ChargebackAnswer, NamedAnswer, Row } from "../api/types";
import { saveFile } from "../files";
import { count, exactly, measured } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { nothing } from "../panels/nothing";
import { Panel } from "../panels/Panel";
import { WideTable } from "../panels/WideTable";
import { chargedColumns, type Column, ECONOMICS, missing, sheetCsv } from "../shape/finance";
import { groupName, rowKey } from "../shape/series";
import { nameInText, nameOf } from "../view/names";
import { calendarSpan, lookOf, periodOf, rangeWords } from "../view/range";
import type { ChangeView, View } from "../view/state";
import type { PageProps } from "./registry";

const SLOWEST_SECONDS = 30;
const MOST_ROWS = 200;
const OUTCOME = "outcome";

export default function Finance({ view, change }: PageProps) {
  return (
    <Stack gap="md">
      <Chargeback view={view} change={change} />
      <Outcomes view={view} change={change} />
    </Stack>
  );
}

function Chargeback({ view, change }: PageProps) {
  const { range, timezone, filters, by } = view;
  const query = useLiveQuery<ChargebackAnswer>({
    key: ["chargeback", range, timezone, filters, by],
    rows: by,
    paceSeconds: paceOf(view),
    ask: () => chargeback({ by, ...periodOf(range, timezone, new Date()), timezone, filters: filters as Record<string, never> }),
  });
  return (
    <Panel
      title={`Chargeback by ${nameInText(by)}, ${rangeWords(range, timezone)}`}
      aside={<Months view={view} change={change} />}
      query={query}
      height={280}
      isEmpty={(answer) => answer.rows.length === 0}
      empty={nothing(view)}
    >
      {(answer) => {
        const rows = answer.rows as unknown as Row[];
        return <Sheet name="chargeback" names={[by]} columns={chargedColumns(rows)} rows={rows} totals={answer.totals as unknown as Row} coverage={answer.coverage} />;
      }}
    </Panel>
  );
}

function Outcomes({ view }: PageProps) {
  const { range, timezone, filters, by } = view;
  const query = useLiveQuery<NamedAnswer>({
    key: ["outcomes", range, timezone, filters, by],
    rows: by,
    paceSeconds: paceOf(view),
    ask: () => outcomes(filters, { ...periodOf(range, timezone, new Date()), timezone, group_by: by }),
  });
  return (
    <Panel
      title={`Outcomes by ${nameInText(by)}, ${rangeWords(range, timezone)}`}
      query={query}
      height={280}
      isEmpty={(answer) => !answer.totals["outcomes"]}
      empty={
        <>
          No outcomes were told of. Say what calls were made for, and what it was worth:
          <Code block mt="xs" ta="left" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
            taximeter.outcome("ticket_solved", value_usd="4.00")
          </Code>
        </>
      }
    >
      {(answer) => <Sheet name="outcomes" names={[by, OUTCOME]} columns={ECONOMICS} rows={answer.rows} totals={answer.totals} coverage={answer.coverage} />}
    </Panel>
  );
}

function paceOf({ range }: View): number {
  return Math.max(SLOWEST_SECONDS, lookOf(range).paceSeconds);
}

/** Statements are of months. */
function Months({ view, change }: { view: View; change: ChangeView }) {
  return (
    <Group gap="xs" wrap="nowrap">
      {(["last month", "this month"] as const).map((name) => {
        const span = calendarSpan(name, view.timezone, new Date());
        return (
          <Button key={name} size="compact-xs" variant={view.range === span ? "light" : "default"} aria-pressed={view.range === span} onClick={() => change({ range: span })}>
            {name}
          </Button>
        );
      })}
    </Group>
  );
}

interface SheetProps {
  name: string;
  /** What each row is of. */
  names: string[];
  columns: Column[];
  rows: Row[];
  totals: Row;
  coverage: Record<string, unknown>;
}

/** The rows add up to the total, to the cent; those that are not shown are in the file. */
function Sheet({ name, names, columns, rows, totals, coverage }: SheetProps) {
  const left = rows.length - MOST_ROWS;
  return (
    <>
      <WideTable minWidth={names.length > 1 ? 720 : 460}>
        <Table className="calls" fz="sm" verticalSpacing={5} horizontalSpacing={8} data-testid={name}>
          <Table.Thead>
            <Table.Tr>
              {names.map((one) => (
                <Table.Th key={one}>{one === OUTCOME ? "Outcome" : nameOf(one)}</Table.Th>
              ))}
              {columns.map(({ name: column, label }) => (
                <Table.Th key={column} ta="right">
                  {label}
                </Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {rows.slice(0, MOST_ROWS).map((row) => (
              <Table.Tr key={rowKey(row, ...names)}>
                {names.map((one) => (
                  <Table.Td key={one} className={row[one] === null ? "group-name dim" : "group-name"}>
                    {one === OUTCOME && row[one] === null ? "none" : groupName(row[one])}
                  </Table.Td>
                ))}
                <Numbers columns={columns} row={row} />
              </Table.Tr>
            ))}
          </Table.Tbody>
          <Table.Tfoot>
            <Table.Tr>
              <Table.Th colSpan={names.length}>All</Table.Th>
              <Numbers columns={columns} row={totals} total={name} />
            </Table.Tr>
          </Table.Tfoot>
        </Table>
      </WideTable>
      <Group justify="space-between" mt="sm">
        <Text size="sm" className="warn" component="div">
          {missing(coverage).map((words) => (
            <div key={words}>{words}</div>
          ))}
        </Text>
        <Group gap="sm">
          {left > 0 && (
            <Text size="sm" c="dimmed">
              {count(left)} more are in the file
            </Text>
          )}
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<IconDownload size={14} />}
            aria-label={`Save the ${name} as CSV`}
            onClick={() => saveFile(`${name}.csv`, "text/csv", sheetCsv(names, columns, rows, totals))}
          >
            CSV
          </Button>
        </Group>
      </Group>
    </>
  );
}

function Numbers({ columns, row, total }: { columns: Column[]; row: Row; total?: string }) {
  return columns.map(({ name, kind }) => (
    <Table.Td key={name} ta="right" className="number" fw={total ? 600 : undefined} title={exactly(kind, row[name])} data-testid={total && `${total}-${name}`}>
      {row[name] === null && name === "cost_usd" ? <span className="warn">not priced</span> : measured(kind, row[name])}
    </Table.Td>
  ));
}
