/** The newest calls, as they come in. */

import { Badge, ScrollArea, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { lastCalls } from "../api/client";
import type { CallEvent } from "../api/types";
import { clockTime, count, exactMoney, milliseconds, money } from "../format";
import { LIVE } from "../useLive";
import type { View } from "../view/state";
import { Panel } from "./Panel";

const SHOWN = 25;
const STATUS_COLOURS: Record<string, string> = {
  ok: "teal",
  error: "red",
  cancelled: "gray",
  interrupted: "orange",
  refused: "grape",
  cached: "blue",
};

export function LastCalls({ view }: { view: View }) {
  const query = useQuery({ queryKey: [LIVE, "calls"], queryFn: () => lastCalls(SHOWN) });
  return (
    <Panel title="Last calls" query={query} isEmpty={(page) => page.events.length === 0} empty="No calls yet." height={300}>
      {(page) => (
        <ScrollArea>
          <Table verticalSpacing={4} horizontalSpacing="sm" fz="sm" highlightOnHover miw={860}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>Time</Table.Th>
                <Table.Th>Status</Table.Th>
                <Table.Th>Feature</Table.Th>
                <Table.Th>User</Table.Th>
                <Table.Th>Model</Table.Th>
                <Table.Th ta="right">Input</Table.Th>
                <Table.Th ta="right">Cached</Table.Th>
                <Table.Th ta="right">Output</Table.Th>
                <Table.Th ta="right">Took</Table.Th>
                <Table.Th ta="right">Cost</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {page.events.map((event) => (
                <CallRow key={event.event_id} event={event} timezone={view.timezone} />
              ))}
            </Table.Tbody>
          </Table>
        </ScrollArea>
      )}
    </Panel>
  );
}

function CallRow({ event, timezone }: { event: CallEvent; timezone: string }) {
  const model = event.response_model ?? event.request_model ?? "–";
  return (
    <Table.Tr className="fresh">
      <Table.Td className="number">{clockTime(event.started_at, timezone)}</Table.Td>
      <Table.Td>
        <Badge size="sm" variant="light" color={STATUS_COLOURS[event.status] ?? "gray"} title={event.error_type ?? undefined}>
          {event.status === "error" && event.http_status ? event.http_status : event.status}
        </Badge>
      </Table.Td>
      <Table.Td className="cell-cut">{event.feature ?? "–"}</Table.Td>
      <Table.Td className="cell-cut">{event.user_id ?? "–"}</Table.Td>
      <Table.Td className="cell-cut" title={`${event.provider} · ${model}`}>
        {model}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {event.usage_estimated ? "~" : ""}
        {count(event.input_tokens)}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {event.cache_read_tokens ? count(event.cache_read_tokens) : "–"}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {event.usage_estimated ? "~" : ""}
        {count(event.output_tokens)}
      </Table.Td>
      <Table.Td ta="right" className="number">
        {milliseconds(event.duration_ms)}
      </Table.Td>
      <Table.Td ta="right" className="number" title={exactMoney(event.cost_usd)}>
        {event.cost_usd === null || event.cost_usd === undefined ? (
          <Text span size="xs" c="orange" title={event.unpriced_reason ?? undefined}>
            not priced
          </Text>
        ) : (
          money(event.cost_usd)
        )}
      </Table.Td>
    </Table.Tr>
  );
}
