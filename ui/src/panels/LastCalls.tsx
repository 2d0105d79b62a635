/** The newest calls of the range, as they come in. They stand still while somebody points at them. */

import { Button, Center, Table, Text } from "@mantine/core";
import { type FocusEvent, type PointerEvent, useRef, useState } from "react";

import { calls } from "../api/client";
import type { Call, CallPage } from "../api/types";
import { clockTime, count, dateTime, exactMoney, milliseconds, money } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { reasonInWords } from "../shape/costSheet";
import { type ChangeView, RANGES, rangeStart, type View } from "../view/state";
import { Panel } from "./Panel";
import { StatusMark } from "./StatusMark";

const FIRST = 25;
const MOST = 400;

interface Props {
  view: View;
  change: ChangeView;
}

export function LastCalls(props: Props) {
  const { range, filters } = props.view;
  return <Calls key={JSON.stringify([range, filters])} {...props} />;
}

function Calls({ view, change }: Props) {
  const { range, timezone, filters } = view;
  const [limit, setLimit] = useState(FIRST);
  const [held, setHeld] = useState<CallPage | null>(null);
  const query = useLiveQuery({
    key: ["calls", range, timezone, filters, limit],
    paceSeconds: limit > FIRST ? 5 : 1,
    ask: () => calls({ ...filters, from: rangeStart(range, timezone, new Date()), timezone, limit }),
  });
  const hold = () => setHeld((before) => before ?? query.data ?? null);
  const more = () => {
    setHeld(null);
    setLimit(Math.min(limit * 4, MOST));
  };
  return (
    <Panel
      title="Last calls"
      aside={held && <HeldNote held={held} newest={query.data} />}
      query={query}
      isEmpty={(page) => page.events.length === 0}
      empty={`No calls in the last ${RANGES[range].label}.`}
      height={300}
    >
      {(page) => (
        <div
          onPointerEnter={(event: PointerEvent) => event.pointerType === "mouse" && hold()}
          onPointerLeave={() => setHeld(null)}
          onFocus={(event: FocusEvent) => event.target.matches(":focus-visible") && hold()}
          onBlur={() => setHeld(null)}
        >
          <CallTable page={held ?? page} timezone={timezone} open={(id) => change({ call: id })} />
          {page.next !== null && limit < MOST && (
            <Center mt="sm">
              <Button variant="default" size="compact-sm" onClick={more} loading={query.isPlaceholderData}>
                Show more
              </Button>
            </Center>
          )}
        </div>
      )}
    </Panel>
  );
}

function HeldNote({ held, newest }: { held: CallPage; newest: CallPage | undefined }) {
  const last = held.events[0]?.event_id;
  const at = newest?.events.findIndex((event) => event.event_id === last) ?? 0;
  const missed = at < 0 ? `${newest?.events.length}+ new` : `${at} new`;
  return (
    <Text size="xs" c="dimmed">
      paused while you look{at === 0 ? "" : ` · ${missed}`}
    </Text>
  );
}

interface CallTableProps {
  page: CallPage;
  timezone: string;
  open: (eventId: string) => void;
}

function CallTable({ page, timezone, open }: CallTableProps) {
  const atFirst = useRef<ReadonlySet<string>>(undefined);
  atFirst.current ??= new Set(page.events.map((event) => event.event_id));
  return (
    <Table className="calls" verticalSpacing={5} horizontalSpacing={8} fz="sm" layout="fixed">
      <Table.Thead>
        <Table.Tr>
          <Table.Th w={76}>Time</Table.Th>
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
  isNew: boolean;
  open: () => void;
}

function CallRow({ call, timezone, isNew, open }: CallRowProps) {
  const model = call.response_model ?? call.request_model ?? "–";
  const about = call.usage_estimated ? "estimated" : undefined;
  const tokens = (n: number | null | undefined) => (call.usage_estimated && n != null ? `~${count(n)}` : count(n));
  return (
    <Table.Tr className={isNew ? "clickable fresh" : "clickable"} onClick={open} data-call={call.event_id}>
      <Table.Td>
        <button type="button" className="row-button number" title={dateTime(call.started_at, timezone)}>
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
