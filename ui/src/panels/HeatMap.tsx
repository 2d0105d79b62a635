/** When it is spent: every hour of the week as one cell of a table, the darker the more. */

import { Group, Text } from "@mantine/core";
import { type CSSProperties, useState } from "react";

import { exactly, shortly } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { heatRange, hours } from "../questions/spend";
import { type Heat, heat, hourWords, HOURS, WEEKDAYS } from "../shape/heat";
import { MEASURES } from "../view/measures";
import { rangeWords } from "../view/range";
import type { View } from "../view/state";
import { Choice } from "./Choice";
import { nothing } from "./nothing";
import { Panel } from "./Panel";

const SHOWN = ["cost_usd", "calls"] as const;
type Shown = (typeof SHOWN)[number];
export default function HeatMap({ view }: { view: View }) {
  const [measure, setMeasure] = useState<Shown>("cost_usd");
  const range = heatRange(view.range);
  const { timezone } = view;
  const query = useLiveQuery(hours(view));
  const { kind } = MEASURES[measure];
  const total = query.data?.totals[measure];
  const unpriced = Number(query.data?.totals["unpriced_calls"] ?? 0);
  return (
    <Panel
      title={`When, ${rangeWords(range, timezone)}`}
      aside={
        <Choice label="Shade by" options={SHOWN.map((value) => ({ value, label: MEASURES[value].label }))} value={measure} onChange={setMeasure} />
      }
      query={query}
      height={270}
      steady
      isEmpty={(answer) => answer.rows.length === 0}
      empty={nothing({ ...view, range })}
    >
      {(answer) => (
        <>
          <Week found={heat(answer.rows, measure, timezone)} measure={measure} />
          <Group justify="space-between" mt={6} gap="xs">
            <Text size="xs" c="dimmed">
              Hours as the clocks in {timezone} show them.
              {kind === "money" && unpriced > 0 && <span className="warn"> {shortly("count", unpriced)} calls without a price are not in it.</span>}
            </Text>
            <Text size="xs" className="number" title={exactly(kind, total)} data-testid="heat-total">
              {shortly(kind, total)} in all
            </Text>
          </Group>
        </>
      )}
    </Panel>
  );
}

function Week({ found, measure }: { found: Heat; measure: Shown }) {
  const { kind, label } = MEASURES[measure];
  return (
    <table className="heat">
      <caption>
        <span className="unseen">{label} by weekday and hour</span>
      </caption>
      <thead>
        <tr>
          <td />
          {HOURS.map((hour) => (
            <th key={hour} scope="col" className={hour % 6 ? "minor" : undefined}>
              <span>{hour}</span>
            </th>
          ))}
          <th scope="col">sum</th>
        </tr>
      </thead>
      <tbody>
        {WEEKDAYS.map((day, row) => (
          <tr key={day}>
            <th scope="row">{day}</th>
            {HOURS.map((hour) => {
              const amount = found.cells[row]![hour];
              const words = amount === undefined ? "no calls" : amount === null ? "not priced" : shortly(kind, amount);
              return (
                <td key={hour} className="slot" style={shade(amount, found.highest)} title={`${day} ${hourWords(hour)}: ${words}`} data-amount={amount ?? undefined}>
                  <span className="unseen">{words}</span>
                </td>
              );
            })}
            <td className="number" title={exactly(kind, found.sums[row])}>
              {shortly(kind, found.sums[row])}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Square roots, so that small amounts are still seen beside large ones. */
function shade(amount: string | null | undefined, highest: number): CSSProperties {
  const part = highest ? Math.sqrt(Number(amount ?? 0) / highest) : 0;
  return { "--heat": `${Math.round(100 * part)}%` } as CSSProperties;
}
