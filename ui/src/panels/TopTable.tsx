/** The largest spenders of one dimension, with the rest as one row: the rows add up to the total. */

import { Table } from "@mantine/core";

import type { Answer, Money, Row } from "../api/types";
import { compact, count, counted, exactMoney, share, shortMoney } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { top } from "../questions/spend";
import { rowKey, rowName, rowValue } from "../shape/series";
import { type Dimension, filtered, nameOf, onlyValue } from "../view/names";
import { type ChangeView, type View } from "../view/state";
import { Panel } from "./Panel";

/** With all of them, and the others. */
const TABLE_HEIGHT = 410;

interface Props {
  title: string;
  dimension: Dimension;
  view: View;
  change: ChangeView;
}

export function TopTable({ title, dimension, view, change }: Props) {
  const query = useLiveQuery(top(dimension, view));
  const pick = (value: string) => change({ filters: filtered(view.filters, dimension, value) });
  return (
    <Panel title={title} query={query} height={TABLE_HEIGHT} steady isEmpty={(answer) => answer.rows.length === 0}>
      {(answer) => <Spenders answer={answer} dimension={dimension} picked={onlyValue(view.filters, dimension)} pick={pick} />}
    </Panel>
  );
}

interface SpendersProps {
  answer: Answer;
  dimension: Dimension;
  picked: string | undefined;
  pick: (value: string) => void;
}

function Spenders({ answer, dimension, picked, pick }: SpendersProps) {
  const whole = Number(answer.totals["cost_usd"] ?? 0);
  return (
    <Table className="spenders plain" verticalSpacing={5} horizontalSpacing={6} fz="sm" withRowBorders={false} layout="fixed">
      <thead>
        <tr>
          <th>{nameOf(dimension)}</th>
          <th style={{ width: 84 }} className="right">
            Cost
          </th>
          <th style={{ width: 56 }} className="right">
            Calls
          </th>
          <th style={{ width: 62 }} className="right">
            Tokens
          </th>
        </tr>
      </thead>
      <tbody>
        {answer.rows.map((row) => {
          const value = rowValue(row, dimension);
          const canPick = value !== null && value !== picked;
          return (
            <SpenderRow
              key={rowKey(row, dimension)}
              row={row}
              name={rowName(row, dimension)}
              whole={whole}
              pick={canPick ? () => pick(value) : undefined}
            />
          );
        })}
      </tbody>
    </Table>
  );
}

interface RowProps {
  row: Row;
  name: string;
  whole: number;
  pick: (() => void) | undefined;
}

function SpenderRow({ row, name, whole, pick }: RowProps) {
  const amount = row["cost_usd"] as Money | null;
  const unpriced = Number(row["unpriced_calls"] ?? 0);
  // Beside calls without a price, the nothing that others cost is not what was spent.
  const isKnown = amount !== null && !(unpriced > 0 && Number(amount) === 0);
  return (
    <tr className={pick && "clickable"} onClick={pick}>
      <td>
        {pick ? (
          // The row takes clicks, the button takes the keyboard; a click on it is one on the row.
          <button type="button" className="cut row-button" title={`Show only ${name}`}>
            {name}
          </button>
        ) : (
          <div className={row["other"] ? "cut dim" : "cut"} title={name}>
            {name}
          </div>
        )}
        <Bar part={isKnown ? Number(amount) : null} whole={whole} isRest={row["other"] === true} />
      </td>
      <td className="right number" title={exactMoney(amount)}>
        {isKnown && shortMoney(amount)}
        {unpriced > 0 && (
          <div className="warn small uncut" title={`No price is known for ${counted(unpriced, "call")}`}>
            {compact(unpriced)} unpriced
          </div>
        )}
      </td>
      <td className="right number" title={count(Number(row["calls"]))}>
        {compact(Number(row["calls"]))}
      </td>
      <td className="right number" title={count(Number(row["total_tokens"]))}>
        {compact(Number(row["total_tokens"]))}
      </td>
    </tr>
  );
}

function Bar({ part, whole, isRest }: { part: number | null; whole: number; isRest: boolean }) {
  const percent = part && whole ? (100 * part) / whole : 0;
  return (
    <div className="share">
      <div className="bar" aria-hidden>
        <div className={isRest ? "rest" : undefined} style={{ width: `${percent}%` }} />
      </div>
      <span className="dim small number">{part === null ? "" : share(part, whole)}</span>
    </div>
  );
}
