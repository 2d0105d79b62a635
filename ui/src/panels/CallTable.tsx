/** Calls as rows; each opens its sheet. */

import { Table } from "@mantine/core";
import { useRef } from "react";

import type { Call, CallPage } from "../api/types";
import { clockTime, compact, count, dateTime, dayAndMonth, exactMoney, milliseconds, money } from "../format";
import { MORE_COLUMNS, type MoreColumn } from "../shape/callColumns";
import { reasonInWords } from "../shape/costSheet";
import { StatusMark } from "./StatusMark";

/** Cells are plain ones: hundreds of them are drawn anew each second. */
const [FROM_XS, FROM_SM, FROM_MD] = ["mantine-visible-from-xs", "mantine-visible-from-sm", "mantine-visible-from-md"];

interface CallTableProps {
  page: CallPage;
  timezone: string;
  /** Whether the time alone does not say when it was. */
  withDate?: boolean;
  /** Columns besides its own. */
  more?: MoreColumn[];
  open: (eventId: string) => void;
}

const NONE: MoreColumn[] = [];

export function CallTable({ page, timezone, withDate = false, more = NONE, open }: CallTableProps) {
  const atFirst = useRef<ReadonlySet<string>>(undefined);
  atFirst.current ??= new Set(page.events.map((event) => event.event_id));
  return (
    <Table className="calls plain" verticalSpacing={5} horizontalSpacing={8} fz="sm" layout="fixed">
      <thead>
        <tr>
          <th style={{ width: withDate ? 118 : 76 }}>Time</th>
          <th style={{ width: 92 }} className={FROM_SM}>
            Status
          </th>
          <th>Feature</th>
          <th className={FROM_SM}>User</th>
          <th className={FROM_XS}>Model</th>
          {more.map((name) => (
            <th key={name}>{MORE_COLUMNS[name].label}</th>
          ))}
          <th style={{ width: 80 }} className={`right ${FROM_MD}`}>
            Input
          </th>
          <th style={{ width: 80 }} className={`right ${FROM_MD}`}>
            Cached
          </th>
          <th style={{ width: 80 }} className={`right ${FROM_MD}`}>
            Output
          </th>
          <th style={{ width: 76 }} className={`right ${FROM_MD}`}>
            Took
          </th>
          <th style={{ width: 116 }} className="right">
            Cost
          </th>
        </tr>
      </thead>
      <tbody>
        {page.events.map((call) => (
          <CallRow
            key={call.event_id}
            call={call}
            timezone={timezone}
            withDate={withDate}
            more={more}
            isNew={!atFirst.current!.has(call.event_id)}
            open={() => open(call.event_id)}
          />
        ))}
      </tbody>
    </Table>
  );
}

/** More than its column has room for. */
const TOO_LONG = 10_000_000;

interface CallRowProps {
  call: Call;
  timezone: string;
  withDate: boolean;
  more: MoreColumn[];
  isNew: boolean;
  open: () => void;
}

function CallRow({ call, timezone, withDate, more, isNew, open }: CallRowProps) {
  const model = call.response_model ?? call.request_model ?? "–";
  const about = (n: number | null | undefined) => `${count(n)}${call.usage_estimated ? ", estimated" : ""}`;
  const tokens = (n: number | null | undefined) => (call.usage_estimated && n != null ? "~" : "") + ((n ?? 0) >= TOO_LONG ? compact(n) : count(n));
  return (
    <tr className={isNew ? "clickable fresh" : "clickable"} onClick={open} data-call={call.event_id}>
      <td>
        <button type="button" className="row-button number" title={dateTime(call.started_at, timezone)}>
          {withDate && `${dayAndMonth(call.started_at, timezone)}, `}
          {clockTime(call.started_at, timezone)}
        </button>
      </td>
      <td className={FROM_SM}>
        <StatusMark call={call} />
      </td>
      <td className="cut" title={call.feature ?? undefined}>
        {call.feature ?? "–"}
      </td>
      <td className={`cut ${FROM_SM}`} title={call.user_id ?? undefined}>
        {call.user_id ?? "–"}
      </td>
      <td className={`cut ${FROM_XS}`} title={`${call.provider} · ${model}`}>
        {model}
      </td>
      {more.map((name) => (
        <td key={name} className="cut" title={MORE_COLUMNS[name].of(call) ?? undefined}>
          {MORE_COLUMNS[name].of(call) ?? "–"}
        </td>
      ))}
      <td className={`right number ${FROM_MD}`} title={about(call.input_tokens)}>
        {tokens(call.input_tokens)}
      </td>
      <td className={`right number ${FROM_MD}`}>
        {call.cache_read_tokens ? tokens(call.cache_read_tokens) : "–"}
      </td>
      <td className={`right number ${FROM_MD}`} title={about(call.output_tokens)}>
        {tokens(call.output_tokens)}
      </td>
      <td className={`right number ${FROM_MD}`}>
        {milliseconds(call.duration_ms)}
      </td>
      <CostCell call={call} />
    </tr>
  );
}

function CostCell({ call }: { call: Call }) {
  if (call.cost_usd == null)
    return (
      <td className="right warn" title={reasonInWords(call.unpriced_reason)}>
        not priced
      </td>
    );
  return (
    <td className={call.not_billed ? "right number dim" : "right number"} title={exactMoney(call.cost_usd)}>
      {money(call.cost_usd)}
    </td>
  );
}
