/** The price entry of each part of a call's cost, and what the call cost by earlier prices. */

import { Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { costHistory, explainCost } from "../api/client";
import type { Call, CostHistory, ExplainedCost } from "../api/types";
import { count, dateTime, exactMoney } from "../format";
import type { View } from "../view/state";

export default function CallPrice({ call, view }: { call: Call; view: View }) {
  const explained = useQuery({ queryKey: ["explain", call.event_id], queryFn: () => explainCost(call.event_id) });
  const history = useQuery({ queryKey: ["cost history", call.event_id], queryFn: () => costHistory(call.event_id) });
  return (
    <>
      {explained.data && <Entries explained={explained.data} />}
      {history.data && <History history={history.data} view={view} />}
    </>
  );
}

function Entries({ explained }: { explained: ExplainedCost }) {
  const hasChanged = explained.stored["cost_usd"] !== explained.cost_usd;
  if (!explained.lines.length) return null;
  return (
    <details className="entries">
      <summary>Price entries, as of today</summary>
      <Table fz="xs" verticalSpacing={4} horizontalSpacing={6} aria-label="Price entries">
        <Table.Tbody>
          {explained.lines.map((line) => (
            <Table.Tr key={`${line.name} ${line.rate}`}>
              <Table.Td>
                {line.name.replaceAll("_", " ")}
                <div className="dim wrap-anywhere">{line.trail.map((step) => step["rule"] as string).join(" → ")}</div>
              </Table.Td>
              <Table.Td ta="right" className="number">
                {count(Number(line.billed))} × {exactMoney(line.usd)}
                <div className="dim">per {line.per === 1 ? line.unit.replace(/s$/, "") : `${count(line.per)} ${line.unit}`}</div>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      {hasChanged && (
        <Text size="xs" className="warn">
          By these it would cost {exactMoney(explained.cost_usd)}. Amounts change by re-pricing only.
        </Text>
      )}
    </details>
  );
}

function History({ history, view }: { history: CostHistory; view: View }) {
  if (!history.superseded.length) return null;
  return (
    <dl className="facts" aria-label="History of the cost">
      {history.superseded.map((before) => (
        <div key={String(before["repricing_id"])}>
          <dt>Until {dateTime(String(before["superseded_at"]), view.timezone)}</dt>
          <dd>
            {exactMoney(before["cost_usd"] as string | null)} <span className="mono">{String(before["price_version"] ?? "")}</span>
            <div className="dim small">
              re-priced by {String(before["asked_by"] ?? "the server")}
              {before["note"] ? `: ${String(before["note"])}` : ""}
            </div>
          </dd>
        </div>
      ))}
    </dl>
  );
}
