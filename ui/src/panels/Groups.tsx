/** The groups of an answer, as bars and as a table; the rows add up to the total. */

import { Table } from "@mantine/core";

import type { Answer } from "../api/types";
import { changeWords, compact, count, counted, exactly, measured, share } from "../format";
import { dimensionsOf, type Line, lines, narrowed } from "../shape/explore";
import { groupName, rowKey, rowName } from "../shape/series";
import type { PageProps } from "../pages/registry";
import { MEASURES } from "../view/measures";
import { nameOf } from "../view/names";
import type { View } from "../view/state";
import { PageLink } from "./PageLink";
import { WideTable } from "./WideTable";

interface Props {
  answer: Answer;
  view: View;
}

export function GroupBars({ answer, view }: Props) {
  const dimensions = dimensionsOf(view);
  const { kind } = MEASURES[view.measure];
  const found = lines(answer, dimensions);
  const highest = Math.max(...found.flatMap(({ row, before }) => [row, before].map((of) => Math.abs(Number(of?.[view.measure] ?? 0)))));
  const width = (value: unknown) => `${highest ? (100 * Math.abs(Number(value ?? 0))) / highest : 0}%`;
  return (
    <ol className="ranking" aria-label="Groups as bars">
      {found.map(({ row, before }) => (
        <li key={rowKey(row, ...dimensions)}>
          <span className="cut" title={rowName(row, ...dimensions)}>
            {rowName(row, ...dimensions)}
          </span>
          <span className="pair" aria-hidden>
            <span className={row["other"] ? "rest" : undefined} style={{ width: width(row[view.measure]) }} />
            {view.compare && <span className="earlier" style={{ width: width(before?.[view.measure]) }} />}
          </span>
          <span className="number" title={exactly(kind, row[view.measure])}>
            {measured(kind, row[view.measure])}
          </span>
        </li>
      ))}
    </ol>
  );
}

export function GroupTable({ answer, view, change }: Props & PageProps) {
  const dimensions = dimensionsOf(view);
  const measure = MEASURES[view.measure];
  return (
    <WideTable minWidth={view.compare ? 640 : 330}>
      <Table className="calls" fz="sm" verticalSpacing={5} horizontalSpacing={8} data-testid="groups">
        <Table.Thead>
          <Table.Tr>
            {dimensions.map((name) => (
              <Table.Th key={name}>{nameOf(name)}</Table.Th>
            ))}
            <Table.Th ta="right">{measure.label}</Table.Th>
            {measure.adds && <Table.Th ta="right">Share</Table.Th>}
            {view.compare && (
              <>
                <Table.Th ta="right">Before</Table.Th>
                <Table.Th ta="right">Change</Table.Th>
              </>
            )}
            <Table.Th ta="right">Calls</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {lines(answer, dimensions).map((line) => (
            <GroupRow key={rowKey(line.row, ...dimensions)} line={line} whole={Number(answer.totals[view.measure] ?? 0)} view={view} change={change} />
          ))}
        </Table.Tbody>
        <Table.Tfoot>
          <TotalRow answer={answer} view={view} />
        </Table.Tfoot>
      </Table>
    </WideTable>
  );
}

function GroupRow({ line: { row, before }, whole, view, change }: PageProps & { line: Line; whole: number }) {
  const dimensions = dimensionsOf(view);
  const { kind, adds } = MEASURES[view.measure];
  const amount = row[view.measure];
  const filters = narrowed(view.filters, row, dimensions);
  const unpriced = Number(row["unpriced_calls"] ?? 0);
  return (
    <Table.Tr>
      {row["other"] ? (
        <Table.Td colSpan={dimensions.length} className="dim">
          {rowName(row)}
        </Table.Td>
      ) : (
        dimensions.map((name) => (
          <Table.Td key={name} className="group-name">
            <PageLink view={view} change={change} to={{ filters: narrowed(view.filters, row, [name])! }} className="link">
              {groupName(row[name])}
            </PageLink>
          </Table.Td>
        ))
      )}
      <Table.Td ta="right" className="number" title={exactly(kind, amount)}>
        {amount === null && kind === "money" && unpriced > 0 ? <span className="warn">not priced</span> : measured(kind, amount)}
        {unpriced > 0 && (
          <div className="warn small uncut" title={`No price is known for ${counted(unpriced, "call")}`}>
            {compact(unpriced)} unpriced
          </div>
        )}
      </Table.Td>
      {adds && (
        <Table.Td ta="right" className="number dim">
          {amount == null ? "–" : share(Number(amount), whole)}
        </Table.Td>
      )}
      {view.compare && (
        <>
          <Table.Td ta="right" className="number" title={exactly(kind, before?.[view.measure])}>
            {measured(kind, before?.[view.measure])}
          </Table.Td>
          <Table.Td ta="right" className="number">
            {changeWords(before?.[view.measure] ?? (adds && amount != null ? 0 : null), amount)}
          </Table.Td>
        </>
      )}
      <Table.Td ta="right" className="number">
        {filters ? (
          <PageLink view={view} change={change} to={{ page: "calls", filters }} className="link">
            {count(Number(row["calls"]))}
          </PageLink>
        ) : (
          count(Number(row["calls"]))
        )}
      </Table.Td>
    </Table.Tr>
  );
}

function TotalRow({ answer, view }: Props) {
  const { kind, adds } = MEASURES[view.measure];
  const [now, before] = [answer.totals, answer.comparison?.totals];
  return (
    <Table.Tr>
      <Table.Th colSpan={dimensionsOf(view).length}>All</Table.Th>
      <Table.Th ta="right" className="number" title={exactly(kind, now[view.measure])} data-testid="groups-total">
        {measured(kind, now[view.measure])}
      </Table.Th>
      {adds && <Table.Td />}
      {view.compare && (
        <>
          <Table.Th ta="right" className="number" title={exactly(kind, before?.[view.measure])}>
            {measured(kind, before?.[view.measure])}
          </Table.Th>
          <Table.Th ta="right" className="number">
            {changeWords(before?.[view.measure], now[view.measure])}
          </Table.Th>
        </>
      )}
      <Table.Th ta="right" className="number">
        {count(Number(now["calls"]))}
      </Table.Th>
    </Table.Tr>
  );
}
