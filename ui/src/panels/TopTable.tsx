/** The largest spenders of one dimension, with the rest as "other": the rows add up to the total. */

import { Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { ask } from "../api/client";
import type { Row } from "../api/types";
import { compact, exactMoney, money, share } from "../format";
import { groupName } from "../shape/series";
import { SERIES_COLOURS } from "../theme";
import { LIVE } from "../useLive";
import { type Dimension, DIMENSIONS, RANGES, type View } from "../view/state";
import { Panel } from "./Panel";

const MOST_ROWS = 7;

export function TopTable({ title, dimension, view }: { title: string; dimension: Dimension; view: View }) {
  const query = useQuery({
    queryKey: [LIVE, "top", dimension, view.range, view.timezone],
    queryFn: () =>
      ask({
        measures: ["cost_usd", "calls", "total_tokens", "unpriced_calls"],
        group_by: [dimension],
        from: RANGES[view.range].from,
        timezone: view.timezone,
        order_by: "-cost_usd",
        limit: MOST_ROWS,
      }),
    placeholderData: (previous) => previous,
  });
  return (
    <Panel title={title} query={query} isEmpty={(answer) => answer.rows.length === 0}>
      {(answer) => {
        const whole = Number(answer.totals["cost_usd"] ?? 0);
        return (
          <Table verticalSpacing={6} horizontalSpacing={6} fz="sm" withRowBorders={false} layout="fixed">
            <Table.Thead>
              <Table.Tr>
                <Table.Th w="38%">{DIMENSIONS[dimension]}</Table.Th>
                <Table.Th ta="right" w="22%">Cost</Table.Th>
                <Table.Th ta="right">Share</Table.Th>
                <Table.Th ta="right">Calls</Table.Th>
                <Table.Th ta="right">Tokens</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {answer.rows.map((row) => (
                <SpenderRow key={rowName(row, dimension)} row={row} dimension={dimension} whole={whole} />
              ))}
            </Table.Tbody>
          </Table>
        );
      }}
    </Panel>
  );
}

function SpenderRow({ row, dimension, whole }: { row: Row; dimension: Dimension; whole: number }) {
  const name = rowName(row, dimension);
  const amount = row["cost_usd"] as string | null;
  const part = Number(amount ?? 0);
  const unpriced = Number(row["unpriced_calls"] ?? 0);
  return (
    <Table.Tr>
      <Table.Td>
        <div className="cell-cut name" title={name}>
          {row["other"] ? <Text span size="sm" c="dimmed">{name}</Text> : name}
        </div>
        <div className="bar" aria-hidden>
          <div style={{ width: `${whole ? (100 * part) / whole : 0}%`, background: SERIES_COLOURS[row["other"] ? 6 : 0] }} />
        </div>
      </Table.Td>
      <Table.Td ta="right" className="number" title={exactMoney(amount)}>
        {money(amount)}
        {unpriced > 0 && (
          <Text size="xs" c="orange" style={{ whiteSpace: "nowrap" }} title={`${compact(unpriced)} calls have no price yet`}>
            {compact(unpriced)} unpriced
          </Text>
        )}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {share(part, whole)}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {compact(Number(row["calls"]))}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {compact(row["total_tokens"] as number | null)}
      </Table.Td>
    </Table.Tr>
  );
}

function rowName(row: Row, dimension: Dimension): string {
  return row["other"] ? "all others" : groupName(row[dimension]);
}
