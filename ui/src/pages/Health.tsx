/** How the server is: whether it keeps up, what it lost, how complete its numbers are, what it does by itself. */

import { SimpleGrid, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { status } from "../api/client";
import type { Status } from "../api/types";
import { ago, bytes, chosenTime, count, dateTime, milliseconds } from "../format";
import { Coverage } from "../panels/Coverage";
import { Panel } from "../panels/Panel";
import { wrongNow } from "../shape/health";
import type { View } from "../view/state";
import type { PageProps } from "./registry";
import { WideTable } from "../panels/WideTable";

const LOOK_AGAIN_MS = 2_000;

export default function Health({ view, change }: PageProps) {
  const query = useQuery({ queryKey: ["status"], queryFn: status, refetchInterval: LOOK_AGAIN_MS });
  return (
    <Stack gap="md">
      <Panel title="Health" query={query} height={240}>
        {(now) => <Standing now={now} view={view} />}
      </Panel>
      <Coverage view={view} change={change} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Panel title="Collector" query={query}>
          {(now) => <Facts of={now.collector} without="This process collects nothing." />}
        </Panel>
        <Panel title="Losses" query={query} isEmpty={(now) => Object.keys(lost(now)).length === 0} empty="Nothing was lost since the start." height={80}>
          {(now) => <Facts of={lost(now)} without="" />}
        </Panel>
      </SimpleGrid>
      <Panel title="Jobs" query={query} height={240} isEmpty={(now) => Object.keys(now.jobs).length === 0} empty="This process has no jobs.">
        {(now) => <Jobs now={now} view={view} />}
      </Panel>
    </Stack>
  );
}

/** What was lost or set aside, by reason. */
function lost(now: Status): Record<string, unknown> {
  const aside = Object.entries((now.collector?.["set_aside"] as Record<string, number> | undefined) ?? {});
  const counts = [...Object.entries(now.losses), ...aside.map(([reason, n]) => [`set aside: ${reason}`, n] as const)];
  return Object.fromEntries(counts.filter(([, n]) => n > 0));
}

function Standing({ now, view }: { now: Status; view: View }) {
  const wrong = wrongNow(now);
  return (
    <>
      {wrong.length ? (
        <ul className="bad" role="alert">
          {wrong.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      ) : (
        <Text className="good" fw={600} mb="xs" data-testid="standing">
          All is well.
        </Text>
      )}
      <dl className="facts">
        <Fact name="Version">{now.version}</Fact>
        <Fact name="Role">{now.role}</Fact>
        <Fact name="Running since">
          <span title={dateTime(now.started_at, view.timezone)}>{ago(now.started_at, new Date())}</span>
        </Fact>
        <Fact name="Price data">
          <span className="mono">{now.price_version}</span>
        </Fact>
        <Fact name="Unpriced calls">{count(now.unpriced_calls)}</Fact>
        <Fact name="Waiting to be stored">{bytes(now.collector?.["lag_bytes"] as number | undefined)}</Fact>
        <Fact name="On disk">{bytes(now.storage_bytes)}</Fact>
        <Fact name="Providers">{now.providers.join(", ") || "none"}</Fact>
      </dl>
    </>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Counts and words as they are; what consists of several is told elsewhere. */
function Facts({ of, without }: { of: Record<string, unknown> | null; without: string }) {
  if (of === null) return <Text c="dimmed">{without}</Text>;
  const plain = Object.entries(of).filter(([, value]) => value !== null && typeof value !== "object");
  return (
    <dl className="facts">
      {plain.map(([name, value]) => (
        <Fact key={name} name={inWords(name.replace(BYTES, ""))}>
          {typeof value === "number" ? (BYTES.test(name) ? bytes : count)(value) : typeof value === "boolean" ? (value ? "yes" : "no") : String(value)}
        </Fact>
      ))}
    </dl>
  );
}

const BYTES = /_bytes$/;

/** `stored_events`: "Stored events". */
function inWords(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
}

function Jobs({ now, view }: { now: Status; view: View }) {
  return (
    <WideTable minWidth={560}>
      <Table className="calls" fz="sm" verticalSpacing={5}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Job</Table.Th>
            <Table.Th ta="right">Every</Table.Th>
            <Table.Th ta="right">Runs</Table.Th>
            <Table.Th ta="right">Failures</Table.Th>
            <Table.Th ta="right">Took</Table.Th>
            <Table.Th>Last good run</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {Object.entries(now.jobs).map(([name, job]) => (
            <Table.Tr key={name}>
              <Table.Td>
                {inWords(name)}
                {job["last_error"] ? <div className="bad small wrap-anywhere">{String(job["last_error"])}</div> : null}
                <Lag seconds={job["lag_seconds"] as number | null} />
              </Table.Td>
              <Table.Td ta="right" className="number">
                {chosenTime(Number(job["every_seconds"]))}
              </Table.Td>
              <Table.Td ta="right" className="number">
                {count(Number(job["runs"]))}
              </Table.Td>
              <Table.Td ta="right" className={job["failures"] ? "number bad" : "number"}>
                {count(Number(job["failures"]))}
              </Table.Td>
              <Table.Td ta="right" className="number">
                {milliseconds(job["last_duration_ms"] as number | null)}
              </Table.Td>
              <Table.Td>
                <LastRun at={job["last_success_at"] as string | null} view={view} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

const LAG_SHOWN_SECONDS = 60;

function Lag({ seconds }: { seconds: number | null }) {
  return seconds !== null && seconds >= LAG_SHOWN_SECONDS ? (
    <div className="dim small">the oldest that waits came {ago(new Date(Date.now() - seconds * 1000).toISOString(), new Date())}</div>
  ) : null;
}

function LastRun({ at, view }: { at: string | null; view: View }) {
  return at === null ? <span className="dim">not yet</span> : <span title={dateTime(at, view.timezone)}>{ago(at, new Date())}</span>;
}
