/** Rows that add up to their total, and all of them as a file. */

import { Button, Group, Table, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";

import type { Row } from "../api/types";
import { saveFile } from "../files";
import { count, exactly, measured } from "../format";
import { type Column, missing, sheetCsv } from "../shape/finance";
import { groupName, rowKey } from "../shape/series";
import { nameOf } from "../view/names";
import { WideTable } from "./WideTable";

const MOST_ROWS = 200;
export const OUTCOME = "outcome";

interface SheetProps {
  name: string;
  /** What each row is of. */
  names: string[];
  columns: Column[];
  rows: Row[];
  totals: Row;
  coverage: Record<string, unknown>;
}

/** The rows add up to the total; those that are not shown are in the file. */
export function Sheet({ name, names, columns, rows, totals, coverage }: SheetProps) {
  const left = rows.length - MOST_ROWS;
  return (
    <>
      <WideTable minWidth={names.length > 1 || columns.length > 5 ? 720 : 460}>
        <Table className="calls" fz="sm" verticalSpacing={5} horizontalSpacing={8} data-testid={name}>
          <Table.Thead>
            <Table.Tr>
              {names.map((one) => (
                <Table.Th key={one}>{heading(one)}</Table.Th>
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

function heading(name: string): string {
  const words = nameOf(name);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function Numbers({ columns, row, total }: { columns: Column[]; row: Row; total?: string }) {
  return columns.map(({ name, kind }) => (
    <Table.Td key={name} ta="right" className="number" fw={total ? 600 : undefined} title={exactly(kind, row[name])} data-testid={total && `${total}-${name}`}>
      {row[name] === null && name === "cost_usd" ? <span className="warn">not priced</span> : measured(kind, row[name])}
    </Table.Td>
  ));
}
