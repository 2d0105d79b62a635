/** One call in full: where its cost comes from, what was used, who it was for. */

import { Alert, Button, CopyButton, Drawer, Group, Stack, Table, Text, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode, Suspense, useRef } from "react";

import { lazily } from "../lazily";
import { callById, calls } from "../api/client";
import type { Call } from "../api/types";
import { count, dateTime, exactMoney, milliseconds, money } from "../format";
import { costLines, reasonInWords, tokenLines } from "../shape/costSheet";
import { filtered, type FilterName, type Filters } from "../view/names";
import { type ChangeView, type View } from "../view/state";
import { PageLink } from "./PageLink";
import { Body } from "./Panel";
import { StatusMark } from "./StatusMark";

const CallPrice = lazily(() => import("./CallPrice"));

interface Props {
  view: View;
  change: ChangeView;
}

export default function CallSheet({ view, change }: Props) {
  // While the drawer slides away it still shows what it showed.
  const last = useRef<string | null>(null);
  last.current = view.call ?? last.current;
  const id = last.current;
  return (
    <Drawer.Root opened={view.call !== null} onClose={() => change({ call: null })} position="right" size={560}>
      <Drawer.Overlay />
      <Drawer.Content aria-label="Call">
        <Drawer.Body pt="md">
          <Group justify="space-between" mb="xs">
            <Text fw={600}>Call</Text>
            <Drawer.CloseButton aria-label="Close" />
          </Group>
          {id && <Sheet id={id} view={view} change={change} />}
        </Drawer.Body>
      </Drawer.Content>
    </Drawer.Root>
  );
}

function Sheet({ id, view, change }: Props & { id: string }) {
  const query = useQuery({ queryKey: ["call", id], queryFn: () => callById(id) });
  return (
    <Body query={query} height={400} isEmpty={(call) => call === null} empty="There is no call with this id.">
      {(call) => call && <Facts call={call} view={view} change={change} />}
    </Body>
  );
}

function Facts({ call, view, change }: Props & { call: Call }) {
  const narrow = (name: FilterName, value: string) => change({ filters: filtered(view.filters, name, value), call: null });
  const pickable = (name: FilterName) => {
    const value = call[name as keyof Call] as string | null | undefined;
    return value == null ? null : (
      <UnstyledButton className="link" fz="sm" title={`Show only ${value}`} onClick={() => narrow(name, value)}>
        {value}
      </UnstyledButton>
    );
  };
  return (
    <Stack gap="lg">
      <Amount call={call} />
      <Section title="Cost">
        <CostTable call={call} />
        <Suspense>
          <CallPrice call={call} view={view} />
        </Suspense>
        <Lines>
          <Line label="Price rule" value={call.price_rule} mono />
          <Line label="Price version" value={call.price_version} mono />
          <Line label="The provider's own amount" value={call.reported_cost_usd && exactMoney(call.reported_cost_usd)} />
          <Line label="Not billed" value={call.not_billed ? "the provider does not charge for this call" : null} />
        </Lines>
      </Section>
      <Section title="Tokens">
        <TokenTable call={call} />
      </Section>
      <Section title="For whom">
        <Lines>
          <Line label="User" value={pickable("user_id")} />
          <Line label="Feature" value={pickable("feature")} />
          <Line label="Team" value={pickable("team")} />
          <Line label="Tenant" value={pickable("tenant")} />
          <Line label="Environment" value={pickable("environment")} />
          <Line label="Endpoint" value={pickable("endpoint")} />
          <Line label="Service" value={pickable("service")} />
          <Line label="Prompt version" value={pickable("prompt_version")} />
          <Line label="Session" value={pickable("session_id")} />
          <Line label="Key" value={pickable("api_key_id")} />
          {Object.entries(call.tags ?? {}).map(([name, value]) => (
            <Line key={name} label={`Tag ${name}`} value={value} />
          ))}
        </Lines>
      </Section>
      <Section title="Call">
        <Lines>
          <Line label="Started" value={`${dateTime(call.started_at, view.timezone)} (${view.timezone})`} />
          <Line label="Took" value={milliseconds(call.duration_ms)} />
          <Line label="First token after" value={call.time_to_first_token_ms == null ? null : milliseconds(call.time_to_first_token_ms)} />
          <Line label="Error" value={call.error_type} />
          <Line label="HTTP status" value={call.http_status} />
          <Line label="Operation" value={call.operation} />
          <Line label="Model asked for" value={call.request_model === call.response_model ? null : call.request_model} />
          <Line label="Service tier" value={call.service_tier} />
          <Line label="Came by" value={call.source} />
        </Lines>
        <Attempts call={call} change={change} />
      </Section>
      <Section title="Ids">
        <Lines>
          <Line label="Event" value={call.event_id} mono copy />
          <Line label="Request" value={call.request_id} mono copy />
          <Line label="Response" value={call.response_id} mono copy />
          <Line label="Trace" value={call.trace_id} mono copy />
          <Line label="Span" value={call.span_id} mono copy />
        </Lines>
      </Section>
      <Group gap="sm">
        <CopyButton value={JSON.stringify(call, null, 2)}>
          {({ copied, copy }) => (
            <Button variant="default" size="xs" onClick={copy}>
              {copied ? "Copied" : "Copy as JSON"}
            </Button>
          )}
        </CopyButton>
        <PageLink view={view} change={change} to={{ page: "why", filters: alike(call), call: null }} className="link text">
          Why did such calls change?
        </PageLink>
      </Group>
    </Stack>
  );
}

/** Filters for the calls that do the same: those of its feature, otherwise of its model. */
function alike(call: Call): Filters {
  const model = call.response_model ?? call.request_model;
  if (call.feature) return { feature: call.feature };
  return model ? { model } : {};
}

function Amount({ call }: { call: Call }) {
  const model = call.response_model ?? call.request_model ?? "unknown model";
  return (
    <div>
      <Group justify="space-between" align="baseline" wrap="nowrap" gap="xs">
        <Text size="sm" c="dimmed" className="wrap-anywhere">
          {call.provider} · {model}
        </Text>
        <StatusMark call={call} />
      </Group>
      {call.cost_usd == null ? (
        <Alert color="orange" variant="light" title="Not priced" mt="xs">
          {reasonInWords(call.unpriced_reason)} It is not in any total until it has a price.
        </Alert>
      ) : (
        <div className="big number" data-testid="sheet-cost" title={exactMoney(call.cost_usd)}>
          {exactMoney(call.cost_usd)}
        </div>
      )}
      {call.usage_estimated && (
        <Text size="xs" className="warn">
          The provider did not report the usage: it was counted from the text.
        </Text>
      )}
      {call.usage_conflict && (
        <Text size="xs" className="warn">
          The provider&rsquo;s counts contradicted each other: parts were clamped to their whole.
        </Text>
      )}
    </div>
  );
}

function CostTable({ call }: { call: Call }) {
  if (call.cost_usd == null) return null;
  return (
    <Table fz="sm" verticalSpacing={4} horizontalSpacing={6} mb="xs" data-testid="cost-lines">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Component</Table.Th>
          <Table.Th ta="right">Tokens</Table.Th>
          <Table.Th ta="right" title="Worked out from the amount">
            Per million
          </Table.Th>
          <Table.Th ta="right">Amount</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {costLines(call).map((line) => (
          <Table.Tr key={line.component} className={line.amount === null || Number(line.amount) === 0 ? "dim" : undefined}>
            <Table.Td>{line.label}</Table.Td>
            <Table.Td ta="right" className="number">
              {count(line.tokens)}
            </Table.Td>
            <Table.Td ta="right" className="number" title={line.perMillion ? exactMoney(line.perMillion) : undefined}>
              {line.perMillion === null ? "–" : money(line.perMillion)}
            </Table.Td>
            <Table.Td ta="right" className="number">
              {exactMoney(line.amount)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
      <Table.Tfoot>
        <Table.Tr>
          <Table.Th colSpan={3}>Total</Table.Th>
          <Table.Th ta="right" className="number">
            {exactMoney(call.cost_usd)}
          </Table.Th>
        </Table.Tr>
      </Table.Tfoot>
    </Table>
  );
}

function TokenTable({ call }: { call: Call }) {
  const lines = tokenLines(call);
  const units = Object.entries(call.units ?? {});
  if (!lines.length && !units.length)
    return (
      <Text size="sm" c="dimmed">
        Nothing was counted.
      </Text>
    );
  return (
    <Lines>
      {lines.map((line) => (
        <Line key={line.label} label={line.isPart ? <span className="part">{line.label}</span> : line.label} value={count(line.tokens)} />
      ))}
      {units.map(([name, amount]) => (
        <Line key={name} label={name.replaceAll("_", " ")} value={String(amount)} />
      ))}
    </Lines>
  );
}

/** The other attempts of the same request: what retries cost. */
function Attempts({ call, change }: { call: Call; change: ChangeView }) {
  const { data } = useQuery({
    queryKey: ["attempts", call.request_id],
    queryFn: () => calls({ request_id: call.request_id! }, { limit: 20 }),
    enabled: !!call.request_id,
  });
  if (!data || data.events.length < 2) return null;
  return (
    <Table fz="sm" verticalSpacing={4} horizontalSpacing={6} mt="xs">
      <Table.Tbody>
        {[...data.events].reverse().map((attempt) => (
          <Table.Tr key={attempt.event_id} fw={attempt.event_id === call.event_id ? 600 : undefined}>
            <Table.Td>
              <UnstyledButton className="link" fz="sm" onClick={() => change({ call: attempt.event_id })}>
                Attempt {attempt.attempt ?? "?"}
              </UnstyledButton>
            </Table.Td>
            <Table.Td>
              <StatusMark call={attempt} />
            </Table.Td>
            <Table.Td ta="right" className="number">
              {milliseconds(attempt.duration_ms)}
            </Table.Td>
            <Table.Td ta="right" className="number">
              {exactMoney(attempt.cost_usd)}
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Table>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Text component="h3" size="sm" fw={600} mb={4}>
        {title}
      </Text>
      {children}
    </section>
  );
}

function Lines({ children }: { children: ReactNode }) {
  return <dl className="facts">{children}</dl>;
}

interface LineProps {
  label: ReactNode;
  /** What is not known is left out. */
  value: ReactNode;
  mono?: boolean;
  copy?: boolean;
}

function Line({ label, value, mono, copy }: LineProps) {
  if (value === null || value === undefined || value === "") return null;
  return (
    <div>
      <dt>{label}</dt>
      <dd className={mono ? "mono" : undefined}>
        {value}
        {copy && <CopyMark value={String(value)} />}
      </dd>
    </div>
  );
}

function CopyMark({ value }: { value: string }) {
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <UnstyledButton className="link small" fz="xs" ml={8} onClick={copy} aria-label={`Copy ${value}`}>
          {copied ? "copied" : "copy"}
        </UnstyledButton>
      )}
    </CopyButton>
  );
}
