/** Every call of the view, page by page, and one of them in full. */

import { Button, Checkbox, Group, Menu, Popover, Stack, Text } from "@mantine/core";
import { IconColumns, IconDownload } from "@tabler/icons-react";
import { type ReactNode, useState } from "react";

import { ask, callFile, calls } from "../api/client";
import { saveFrom } from "../files";
import { count } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { CallTable } from "../panels/CallTable";
import { CostTotal } from "../panels/CostTotal";
import { OpenedCall } from "../panels/OpenedCall";
import { nothing } from "../panels/nothing";
import { Panel } from "../panels/Panel";
import { WideTable } from "../panels/WideTable";
import { keptColumns, MORE_COLUMNS, type MoreColumn, toggled } from "../shape/callColumns";
import { lookOf, periodOf, rangeWords } from "../view/range";
import type { View } from "../view/state";
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
  const [more, setMore] = useState(() => keptColumns(localStorage));
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
          <Widened by={more.length}>
            <CallTable key={cursor ?? ""} withDate={lookOf(range).seconds > DAY_SECONDS} more={more} page={page} timezone={timezone} open={(id) => change({ call: id })} />
          </Widened>
          <Group justify="space-between" mt="sm">
            <Group gap="xs">
              <Text size="sm" c="dimmed" className="number">
                {count(first)} to {count(first + page.events.length - 1)}
              </Text>
              <Columns chosen={more} toggle={(name) => setMore(toggled(localStorage, more, name))} />
              <Export view={view} calls={Number(total.data?.totals["calls"])} />
            </Group>
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

/** The table has room for one or two columns more; for others it is scrolled. */
function Widened({ by, children }: { by: number; children: ReactNode }) {
  return by ? <WideTable minWidth={OWN_WIDTH + by * COLUMN_WIDTH}>{children}</WideTable> : children;
}

const [OWN_WIDTH, COLUMN_WIDTH] = [940, 120];

function Columns({ chosen, toggle }: { chosen: MoreColumn[]; toggle: (name: MoreColumn) => void }) {
  return (
    <Popover position="top-start" withinPortal trapFocus>
      <Popover.Target>
        <Button size="compact-sm" variant="default" leftSection={<IconColumns size={14} />}>
          Columns
        </Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap="xs">
          {(Object.keys(MORE_COLUMNS) as MoreColumn[]).map((name) => (
            <Checkbox key={name} size="xs" label={MORE_COLUMNS[name].label} checked={chosen.includes(name)} onChange={() => toggle(name)} />
          ))}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

/** The server's, as those of one file. */
const MOST_IN_A_FILE = 500_000;

/** All calls of the view, not only the page that is shown. */
function Export({ view: { range, timezone, filters }, calls: found }: { view: View; calls: number }) {
  const save = (format: "csv" | "parquet") => saveFrom(callFile(filters, { ...periodOf(range, timezone, new Date()), timezone }, format), `calls.${format}`);
  return (
    <Menu shadow="md" position="top-start" withinPortal>
      <Menu.Target>
        <Button size="compact-sm" variant="default" leftSection={<IconDownload size={14} />}>
          Export
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{found > MOST_IN_A_FILE ? `More than ${count(MOST_IN_A_FILE)}: choose less time` : "All calls of the view"}</Menu.Label>
        <Menu.Item disabled={found > MOST_IN_A_FILE} onClick={() => save("csv")}>
          CSV
        </Menu.Item>
        <Menu.Item disabled={found > MOST_IN_A_FILE} onClick={() => save("parquet")}>
          Parquet
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
