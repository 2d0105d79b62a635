/** Every call of the view, page by page, and one of them in full. */

import { Button, Group, Stack, Text } from "@mantine/core";
import { useState } from "react";

import { ask, calls } from "../api/client";
import { count } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { CallTable } from "../panels/CallTable";
import { CostTotal } from "../panels/CostTotal";
import { OpenedCall } from "../panels/OpenedCall";
import { nothing } from "../panels/nothing";
import { Panel } from "../panels/Panel";
import { lookOf, periodOf, rangeWords } from "../view/range";

import type { PageProps } from "./registry";

const A_PAGE = 50;
const DAY_SECONDS = 86_400;

export default function Calls(props: PageProps) {
  const { range, timezone, filters } = props.view;
  return (
    <Stack gap="md">
      <Pages key={JSON.stringify([range, timezone, filters])} {...props} />
      <OpenedCall {...props} />
    </Stack>
  );
}

/** The first page follows what comes in; the ones behind it stay as they are. */
function Pages({ view, change }: PageProps) {
  const { range, timezone, filters } = view;
  const [period] = useState(() => periodOf(range, timezone, new Date()));
  const [cursors, setCursors] = useState<string[]>([]);
  const cursor = cursors.at(-1);
  const query = useLiveQuery({
    key: ["call page", range, timezone, filters, cursor],
    paceSeconds: 1,
    still: cursor !== undefined,
    ask: () => calls(filters, { ...period, timezone, limit: A_PAGE, ...(cursor && { cursor }) }),
  });
  const total = useLiveQuery({
    key: ["call count", range, timezone, filters],
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => ask({ measures: ["calls", "cost_usd"], filters, ...period, timezone }),
  });
  const first = cursors.length * A_PAGE + 1;
  return (
    <Panel
      title={`Calls, ${rangeWords(range, timezone)}`}
      aside={
        <CostTotal answer={total.data} name="calls-cost">
          {(calls) => <span data-testid="call-count">{count(calls)} in all</span>}
        </CostTotal>
      }
      query={query}
      height={600}
      isEmpty={(page) => page.events.length === 0}
      empty={nothing(view)}
    >
      {(page) => (
        <>
          <CallTable key={cursor ?? ""} withDate={lookOf(range).seconds > DAY_SECONDS} page={page} timezone={timezone} open={(id) => change({ call: id })} />
          <Group justify="space-between" mt="sm">
            <Text size="sm" c="dimmed" className="number">
              {count(first)} to {count(first + page.events.length - 1)}
            </Text>
            <Group gap="xs">
              <Button size="compact-sm" variant="default" disabled={!cursor} onClick={() => setCursors(cursors.slice(0, -1))}>
                Newer
              </Button>
              <Button
                size="compact-sm"
                variant="default"
                disabled={page.next === null || query.isPlaceholderData}
                onClick={() => page.next && setCursors([...cursors, page.next])}
              >
                Older
              </Button>
            </Group>
          </Group>
        </>
      )}
    </Panel>
  );
}
