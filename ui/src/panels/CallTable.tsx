/** Calls as rows; each opens its sheet. */

import { Table } from "@mantine/core";
import { useRef } from "react";

import type { Call, CallPage } from "../api/types";
import { clockTime, count, dayAndMonth, dateTime, exactMoney, milliseconds, money } from "../format";
import { reasonInWords } from "../shape/costSheet";
import { StatusMark } from "./StatusMark";

interface CallTableProps {
  page: CallPage;
  timezone: string;
  /** Whether the time alone does not say when it was. */
  withDate?: boolean;
  open: (eventId: string) => void;
}

export function CallTable({ page, timezone, withDate = false, open }: CallTableProps) {
  const atFirst = useRef<ReadonlySet<string>>(undefined);
  atFirst.current ??= new Set(page.events.map((event) => event.event_id));
  return (
    <Table className="calls" verticalSpacing={5} horizontalSpacing={8} fz="sm" layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th w={withDate ? 118 : 76}>Time</Table.Th>
          <Table.Th w={92} visibleFrom="sm">
            Status
          </Table.Th>
          <Table.Th>Feature</Table.Th>
          <Table.Th visibleFrom="sm">User</Table.Th>
          <Table.Th visibleFrom="xs">Model</Table.Th>
          <Table.Th ta="right" w={80} visibleFrom="md">
            Input
          </Table.Th>
          <Table.Th ta="right" w={80} visibleFrom="md">
            Cached
          </Table.Th>
          <Table.Th ta="right" w={80} visibleFrom="md">
            Output
          </Table.Th>
          <Table.Th ta="right" w={76} visibleFrom="md">
            Took
          </Table.Th>
          <Table.Th ta="right" w={108}>
            Cost
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {page.events.map((call) => (
          <CallRow
            key={call.event_id}
            call={call}
            timezone={timezone}
            withDate={withDate}
            isNew={!atFirst.current!.has(call.event_id)}
            open={() => open(call.event_id)}
          />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface CallRowProps {
  call: Call;
  timezone: string;
  withDate: boolean;
  isNew: boolean;
  open: () => void;
}

function CallRow({ call, timezone, withDate, isNew, open }: CallRowProps) {
  const model = call.response_model ?? call.request_model ?? "–";
  const about = call.usage_estimated ? "estimated" : undefined;
  const tokens = (n: number | null | undefined) => (call.usage_estimated && n != null ? `~${count(n)}` : count(n));
  return (
    <Table.Tr className={isNew ? "clickable fresh" : "clickable"} onClick={open} data-call={call.event_id}>
      <Table.Td>
        <button type="button" className="row-button number" title={dateTime(call.started_at, timezone)}>
          {withDate && `${dayAndMonth(call.started_at, timezone)}, `}
          {clockTime(call.started_at, timezone)}
        </button>
      </Table.Td>
      <Table.Td visibleFrom="sm">
        <StatusMark call={call} />
      </Table.Td>
      <Table.Td className="cut" title={call.feature ?? undefined}>
        {call.feature ?? "–"}
      </Table.Td>
      <Table.Td className="cut" title={call.user_id ?? undefined} visibleFrom="sm">
        {call.user_id ?? "–"}
      </Table.Td>
      <Table.Td className="cut" title={`${call.provider} · ${model}`} visibleFrom="xs">
        {model}
      </Table.Td>
      <Table.Td ta="right" className="number" title={about} visibleFrom="md">
        {tokens(call.input_tokens)}
      </Table.Td>
      <Table.Td ta="right" className="number" visibleFrom="md">
        {call.cache_read_tokens ? count(call.cache_read_tokens) : "–"}
      </Table.Td>
      <Table.Td ta="right" className="number" title={about} visibleFrom="md">
        {tokens(call.output_tokens)}
      </Table.Td>
      <Table.Td ta="right" className="number" visibleFrom="md">
        {milliseconds(call.duration_ms)}
      </Table.Td>
      <CostCell call={call} />
    </Table.Tr>
  );
}

function CostCell({ call }: { call: Call }) {
  if (call.cost_usd == null)
    return (
      <Table.Td ta="right" className="warn" title={reasonInWords(call.unpriced_reason)}>
        not priced
      </Table.Td>
    );
  return (
    <Table.Td ta="right" className={call.not_billed ? "number dim" : "number"} title={exactMoney(call.cost_usd)}>
      {money(call.cost_usd)}
    </Table.Td>
  );
}
