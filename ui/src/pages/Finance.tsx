/** For those who look after the money: what is charged to whom, what outcomes cost and earned, and whether a provider's
 * bill agrees. */

import { Button, Code, Group, Stack } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";

import { chargeback, outcomes } from "../api/client";
import type { ChargebackAnswer, NamedAnswer, Row } from "../api/types";
import { useLiveQuery } from "../live/useLiveQuery";
import { nothing } from "../panels/nothing";
import { Panel } from "../panels/Panel";
import { ProviderBill } from "../panels/ProviderBill";
import { OUTCOME, Sheet } from "../panels/Sheet";
import { chargedColumns, ECONOMICS } from "../shape/finance";
import { nameInText } from "../view/names";
import { calendarSpan, lookOf, periodOf, rangeWords } from "../view/range";
import type { ChangeView, View } from "../view/state";
import type { PageProps } from "./registry";

const SLOWEST_SECONDS = 30;

export default function Finance({ view, change }: PageProps) {
  const { range, timezone, filters } = view;
  // Unless the view says by whom, the configuration does.
  const chosen = view.isGrouped ? { by: view.by } : {};
  const charged = useLiveQuery<ChargebackAnswer>({
    key: ["chargeback", range, timezone, filters, chosen],
    rows: chosen,
    paceSeconds: paceOf(view),
    ask: () => chargeback({ ...chosen, ...periodOf(range, timezone, new Date()), timezone, filters: filters as Record<string, never> }),
  });
  const by = view.isGrouped || charged.isError ? view.by : charged.data?.by;
  return (
    <Stack gap="md">
      <Chargeback query={charged} by={by} view={view} change={change} />
      <Outcomes by={by} view={view} />
      <ProviderBill />
    </Stack>
  );
}

function Chargeback({ query, by, view, change }: PageProps & { query: UseQueryResult<ChargebackAnswer>; by: string | undefined }) {
  const { range, timezone } = view;
  return (
    <Panel
      title={`Chargeback${byWords(by)}, ${rangeWords(range, timezone)}`}
      aside={<Months view={view} change={change} />}
      query={query}
      height={280}
      isEmpty={(answer) => answer.rows.length === 0}
      empty={nothing(view)}
    >
      {(answer) => {
        const rows = answer.rows as unknown as Row[];
        return <Sheet name="chargeback" names={[answer.by]} columns={chargedColumns(rows)} rows={rows} totals={answer.totals as unknown as Row} coverage={answer.coverage} />;
      }}
    </Panel>
  );
}

function byWords(by: string | undefined): string {
  return by === undefined ? "" : ` by ${nameInText(by)}`;
}

function Outcomes({ by, view }: { by: string | undefined; view: View }) {
  const { range, timezone, filters } = view;
  const query = useLiveQuery<NamedAnswer>({
    key: ["outcomes", range, timezone, filters, by],
    rows: by,
    paceSeconds: paceOf(view),
    waits: by === undefined,
    ask: () => outcomes(filters, { ...periodOf(range, timezone, new Date()), timezone, group_by: by! }),
  });
  return (
    <Panel
      title={`Outcomes${byWords(by)}, ${rangeWords(range, timezone)}`}
      query={query}
      height={160}
      isEmpty={(answer) => !answer.totals["outcomes"]}
      empty={
        <>
          No outcomes were told of. Say what calls were made for, and what it was worth:
          <Code block mt="xs" ta="left" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
            taximeter.outcome("ticket_solved", value_usd="4.00")
          </Code>
        </>
      }
    >
      {(answer) => <Sheet name="outcomes" names={[by!, OUTCOME]} columns={ECONOMICS} rows={answer.rows} totals={answer.totals} coverage={answer.coverage} />}
    </Panel>
  );
}

function paceOf({ range }: View): number {
  return Math.max(SLOWEST_SECONDS, lookOf(range).paceSeconds);
}

/** Statements are of months. */
function Months({ view, change }: { view: View; change: ChangeView }) {
  return (
    <Group gap="xs" wrap="nowrap">
      {(["last month", "this month"] as const).map((name) => {
        const span = calendarSpan(name, view.timezone, new Date());
        return (
          <Button key={name} size="compact-xs" variant={view.range === span ? "light" : "default"} aria-pressed={view.range === span} onClick={() => change({ range: span })}>
            {name}
          </Button>
        );
      })}
    </Group>
  );
}
