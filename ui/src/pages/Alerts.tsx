/** What is wrong, who was told, and what to do about it. */

import { Badge, Group, SegmentedControl, Stack, Table, Text, Timeline, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { incidentPage, incidents, runbooks } from "../api/client";
import type { Incident, IncidentPage } from "../api/types";
import { ago, counted, dateTime, exactMoney, money } from "../format";
import { HoursBefore } from "../panels/HoursBefore";
import { IncidentActions } from "../panels/IncidentActions";
import { Markdown } from "../panels/Markdown";
import { PageLink } from "../panels/PageLink";
import { Panel } from "../panels/Panel";
import { Rules } from "../panels/Rules";
import { lookedAt } from "../shape/evidence";
import { known } from "../shape/incident";
import { type ChangeView, type View } from "../view/state";
import type { PageProps } from "./registry";

const LOOK_AGAIN_MS = 5_000;

export default function Alerts({ view, change }: PageProps) {
  return view.incident === null ? (
    <Stack gap="md">
      <List view={view} change={change} />
      <Rules view={view} />
    </Stack>
  ) : (
    <One id={view.incident} view={view} change={change} />
  );
}

function List({ view, change }: PageProps) {
  const [state, setState] = useState<"open" | "all">("open");
  const query = useQuery({ queryKey: ["incidents", state], queryFn: () => incidents(state), refetchInterval: LOOK_AGAIN_MS });
  return (
    <Panel
      title="Incidents"
      aside={
        <SegmentedControl
          size="xs"
          aria-label="Which incidents"
          data={[
            { value: "open", label: "open" },
            { value: "all", label: "resolved too" },
          ]}
          value={state}
          onChange={(value) => setState(value as "open" | "all")}
        />
      }
      query={query}
      isEmpty={(found) => found.length === 0}
      empty={state === "open" ? "Nothing is wrong." : "There were no incidents yet. Rules and channels: docs/alerts.md."}
    >
      {(found) => (
        <Table fz="sm" verticalSpacing={6}>
          <Table.Tbody>
            {found.map((one) => (
              <Table.Tr key={one.incident_id} className="clickable" onClick={() => change({ incident: one.incident_id })}>
                <Table.Td w={96}>
                  <SeverityMark incident={one} />
                </Table.Td>
                <Table.Td>
                  <button type="button" className="row-button">
                    {one.title}
                  </button>
                  <Text size="xs" c="dimmed" hiddenFrom="sm">
                    {ago(one.opened_at, new Date())}
                  </Text>
                </Table.Td>
                <Table.Td className="dim uncut" ta="right" visibleFrom="sm" title={dateTime(one.opened_at, view.timezone)}>
                  {ago(one.opened_at, new Date())}
                </Table.Td>
                <Table.Td className="dim" visibleFrom="sm">
                  {standing(one)}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Panel>
  );
}

/** The colour behind the word, and that of the word: it has to be read on it. */
const CRITICAL = ["red", "var(--bad)"] as const;
const WARNING = ["orange", "var(--warn)"] as const;
const OVER = ["gray", "var(--dim)"] as const;

function SeverityMark({ incident }: { incident: Incident }) {
  const [color, text] = incident.resolved_at ? OVER : incident.severity === "critical" ? CRITICAL : WARNING;
  return (
    <Badge variant="light" color={color} c={text} size="sm">
      {incident.severity}
    </Badge>
  );
}

function standing(incident: Incident): string {
  if (incident.resolved_at) return "resolved";
  return incident.acknowledged_by ? `taken by ${incident.acknowledged_by}` : "open";
}

function One({ id, view, change }: PageProps & { id: string }) {
  const query = useQuery({ queryKey: ["incident", id], queryFn: () => incidentPage(id), refetchInterval: LOOK_AGAIN_MS });
  return (
    <Stack gap="md">
      <UnstyledButton className="link" fz="sm" onClick={() => change({ incident: null })}>
        ← all incidents
      </UnstyledButton>
      <Panel title="Incident" query={query} height={320}>
        {(page) => <Facts page={page} view={view} change={change} />}
      </Panel>
      <Panel title="Who was told" query={query} isEmpty={(page) => page.notifications.length === 0} empty="Nobody: no channel takes it. Channels are set in the configuration." height={60}>
        {(page) => <Told page={page} view={view} />}
      </Panel>
      {query.data && <RunbookPanel name={String(rootFacts(query.data)["runbook"] ?? "")} />}
    </Stack>
  );
}

function rootFacts(page: IncidentPage): Record<string, unknown> {
  return (page.incident.alerts[0]?.facts as Record<string, unknown> | undefined) ?? {};
}

function Facts({ page, view, change }: { page: IncidentPage; view: View; change: ChangeView }) {
  const { incident } = page;
  const evidence = (rootFacts(page)["evidence"] as [string, string][] | undefined) ?? [];
  const { shown, usdPerHour, contributors, action, chart } = known(rootFacts(page));
  return (
    <Stack gap="xs">
      <Group gap="xs">
        <SeverityMark incident={incident} />
        <Title order={3} size="h4">
          {incident.title}
        </Title>
      </Group>
      <Text size="sm" c="dimmed">
        Since {dateTime(incident.opened_at, view.timezone)} · {counted(incident.alerts.length, "alert")} · {standing(incident)}
      </Text>
      {incident.alerts.slice(0, 8).map((alert) => (
        <Text size="sm" key={alert.key} className="wrap-anywhere">
          {alert.summary} <span className="dim">({alert.state})</span>
        </Text>
      ))}
      {usdPerHour && (
        <Text size="sm">
          It costs <strong title={exactMoney(usdPerHour)}>{money(usdPerHour)} an hour</strong> more than expected.
        </Text>
      )}
      {shown.length > 0 && (
        <dl className="evidence" aria-label="What was seen">
          {shown.map(([name, seen]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{seen}</dd>
            </div>
          ))}
        </dl>
      )}
      {chart && <HoursBefore hours={chart} />}
      {contributors.length > 0 && (
        <ul className="reasons" aria-label="Who is behind it">
          {contributors.map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      )}
      {action && (
        <Text size="sm" fw={500}>
          {action}
        </Text>
      )}
      {evidence.length > 0 && (
        <dl className="evidence" aria-label="First steps, done already">
          {evidence.map(([name, told]) => (
            <div key={name}>
              <dt>
                <Evidence name={name} incident={incident} view={view} change={change} />
              </dt>
              <dd>{told}</dd>
            </div>
          ))}
        </dl>
      )}
      {incident.steps.map((step) => (
        <Text size="sm" key={step.name} className="wrap-anywhere">
          <span className="dim">{dateTime(step.at, view.timezone)} by itself:</span> {step.text}
        </Text>
      ))}
      {page.annotations.map((mark) => (
        <Text size="sm" key={mark.annotation_id}>
          <span className="dim">{dateTime(mark.at, view.timezone)}</span> {mark.text}
        </Text>
      ))}
      <IncidentActions incident={incident} view={view} change={change} />
    </Stack>
  );
}

/** Leads to where its answer can be looked at, when there is such a page. */
function Evidence({ name, incident, view, change }: { name: string; incident: Incident; view: View; change: ChangeView }) {
  const to = lookedAt(name, incident, new Date());
  if (!to) return name;
  return (
    <PageLink className="link" view={view} change={change} to={to}>
      {name}
    </PageLink>
  );
}

function Told({ page, view }: { page: IncidentPage; view: View }) {
  return (
    <Timeline bulletSize={12} lineWidth={1} active={page.notifications.length}>
      {[...page.notifications].reverse().map((one) => (
        <Timeline.Item key={one.notification_id} title={`${one.channel}: ${one.event}`}>
          <Text size="xs" className={one.state === "dead" ? "bad" : "dim"}>
            {dateTime(one.created_at, view.timezone)} · {one.state}
            {one.error && ` · ${one.error}`}
          </Text>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}

function RunbookPanel({ name }: { name: string }) {
  const query = useQuery({ queryKey: ["runbooks"], queryFn: runbooks, staleTime: Infinity });
  const book = query.data?.find((one) => one.name === name);
  if (!book) return null;
  return (
    <section className="panel" aria-label="Runbook">
      <Title order={2} size="h5" mb="xs">
        Runbook: {book.title}
      </Title>
      <Markdown text={book.text.replace(/^# .*\n/, "")} />
    </section>
  );
}
