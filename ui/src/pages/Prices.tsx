/** What a model costs, what has no price yet, and pricing stored calls anew. */

import { Checkbox, Group, Select, SimpleGrid, Stack, Table, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { askAgain } from "../api/again";
import { prices, reprice, repricings, unpriced } from "../api/client";
import type { Repricing, ShownPrice, UnpricedAnswer } from "../api/types";
import { count, counted, dateTime, exactMoney, listedMoney, money, signedMoney } from "../format";
import { Deed } from "../panels/Deed";
import { PageLink } from "../panels/PageLink";
import { Panel, reasonOf } from "../panels/Panel";
import { reasonInWords } from "../shape/costSheet";
import { filterNames, forApi, nameInText, wantedWords } from "../view/names";
import { periodOf, theRange } from "../view/range";
import { type View } from "../view/state";
import type { PageProps } from "./registry";
import { WideTable } from "../panels/WideTable";

const PAUSE_MS = 300;
const LOOK_AGAIN_MS = 1_000;
const TIERS = ["batch", "flex", "priority", "fast"];
const DAYS_SHOWN = 8;

export default function Prices(props: PageProps) {
  return (
    <Stack gap="md">
      <LookUp view={props.view} />
      <Unpriced {...props} />
      <Reprice view={props.view} />
    </Stack>
  );
}

function LookUp({ view }: { view: View }) {
  const [model, setModel] = useState("gpt-4o");
  const [day, setDay] = useState("");
  const [tier, setTier] = useState<string | null>(null);
  const [asked] = useDebouncedValue({ model: model.trim(), at: day, tier: tier ?? "" }, PAUSE_MS);
  const query = useQuery({
    queryKey: ["prices", asked],
    queryFn: () => prices(asked),
    enabled: asked.model !== "",
    placeholderData: (previous: ShownPrice[] | undefined) => previous,
    retry: false,
  });
  return (
    <Panel
      title="What a model costs"
      query={query}
      height={220}
      isEmpty={(found) => found.length === 0}
      empty="No provider with this model is known."
      above={
        <Group gap="sm" mb="md" align="end">
          <TextInput label="Model" description="or PROVIDER/MODEL" value={model} onChange={(event) => setModel(event.currentTarget.value)} w={220} />
          <TextInput type="date" label="On" description="today when left out" value={day} onChange={(event) => setDay(event.currentTarget.value)} w={170} />
          <Select label="Tier" description="of service" placeholder="standard" clearable data={TIERS} value={tier} onChange={setTier} w={150} />
        </Group>
      }
    >
      {(found) => (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          {found.map((price) => (
            <Rates key={`${price.provider} ${price.model}`} price={price} view={view} />
          ))}
        </SimpleGrid>
      )}
    </Panel>
  );
}

function Rates({ price, view }: { price: ShownPrice; view: View }) {
  const from = price["from"] as string | null | undefined;
  return (
    <section aria-label={`Prices of ${price.asked_model} at ${price.provider}`}>
      <Text fw={600}>
        {price.provider} · {price.model ?? price.asked_model}
      </Text>
      <Text size="xs" c="dimmed" mb={4}>
        {from ? `unchanged since ${dateTime(from, view.timezone)} · ` : ""}
        {price.price_version}
      </Text>
      {price.unpriced_reason && <Text className="warn">{reasonInWords(price.unpriced_reason)}</Text>}
      <Table fz="sm" verticalSpacing={4} className="calls">
        <Table.Tbody>
          {price.rates.map((rate) => (
            <Table.Tr key={`${rate.rate} ${rate.over_tokens}`}>
              <Table.Td>
                {rate.rate.replaceAll("_", " ")}
                {rate.over_tokens !== null && <span className="dim"> beyond {count(rate.over_tokens)} tokens</span>}
                <div className="dim small wrap-anywhere">{rate.trail.map(step).join(" → ")}</div>
              </Table.Td>
              <Table.Td ta="right" className="number">
                {listedMoney(rate.usd)}
                <div className="dim small">{rate.per === 1 ? "each" : `per ${count(rate.per)} ${rate.unit}`}</div>
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}

/** Where a rate is from, and when it was checked there. */
function step(of: Record<string, unknown>): string {
  return `${String(of["rule"])}${of["checked"] ? `, checked ${String(of["checked"])}` : ""}`;
}

function Unpriced({ view, change }: PageProps) {
  const query = useQuery({ queryKey: ["unpriced"], queryFn: unpriced });
  return (
    <Panel
      title="Calls without a price"
      query={query}
      height={80}
      isEmpty={(found) => found.rows.length === 0}
      empty="Every call that was ever stored has a price."
    >
      {(found) => <UnpricedTable found={found} view={view} change={change} />}
    </Panel>
  );
}

function UnpricedTable({ found, view, change }: PageProps & { found: UnpricedAnswer }) {
  return (
    <WideTable minWidth={620}>
      <Table fz="sm" verticalSpacing={5} className="calls" data-testid="unpriced">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th>Why</Table.Th>
            <Table.Th ta="right">Calls</Table.Th>
            <Table.Th ta="right">Tokens</Table.Th>
            <Table.Th ta="right">At most</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {found.rows.map((row) => (
            <Table.Tr key={`${row.provider} ${row.model} ${row.service_tier} ${row.unpriced_reason}`}>
              <Table.Td>
                {row.provider} · {row.model ?? "unknown model"}
                {row.service_tier && <span className="dim"> ({row.service_tier})</span>}
              </Table.Td>
              <Table.Td className="dim">{reasonInWords(row.unpriced_reason)}</Table.Td>
              <Table.Td ta="right" className="number">
                <PageLink view={view} change={change} to={{ page: "calls", range: "1y", filters: row.model ? { model: row.model } : {} }} className="link">
                  {count(row.unpriced_calls)}
                </PageLink>
              </Table.Td>
              <Table.Td ta="right" className="number">
                {count(row.unpriced_tokens)}
              </Table.Td>
              <Table.Td ta="right" className="number" title={row.at_most_usd ? exactMoney(row.at_most_usd) : "no bound is known"}>
                {money(row.at_most_usd)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Reprice({ view }: { view: View }) {
  const queries = useQueryClient();
  const runs = useQuery({
    queryKey: ["repricings"],
    queryFn: repricings,
    refetchInterval: ({ state }) => (state.data?.some(isUnderWay) ? LOOK_AGAIN_MS : false),
  });
  const ask = useMutation({ mutationFn: reprice, onSuccess: () => askAgain(queries, ["repricings"]) });
  return (
    <Panel
      title="Price stored calls again"
      query={runs}
      height={80}
      isEmpty={(found) => found.length === 0}
      empty="No calls were priced again yet. Old amounts are kept with every run."
      above={<RepriceForm view={view} ask={ask.mutate} isAsking={ask.isPending} failed={ask.error} />}
    >
      {(found) => (
        <Stack gap="md">
          {found.map((run) => (
            <Run key={run.id} run={run} view={view} />
          ))}
        </Stack>
      )}
    </Panel>
  );
}

interface FormProps {
  view: View;
  ask: (wish: Parameters<typeof reprice>[0]) => void;
  isAsking: boolean;
  failed: Error | null;
}

/** The calls of the view. A run that changes amounts has to be meant. */
function RepriceForm({ view, ask, isAsking, failed }: FormProps) {
  const [note, setNote] = useState("");
  const [isMeant, setMeant] = useState(false);
  const wish = (dry_run: boolean) => ({
    ...periodOf(view.range, view.timezone, new Date()),
    timezone: view.timezone,
    filters: forApi(view.filters),
    dry_run,
    note: note.trim() || null,
  });
  const run = (event: FormEvent) => {
    event.preventDefault();
    ask(wish(false));
    setMeant(false);
  };
  const narrowing = filterNames(view.filters).map((name) => `${nameInText(name)} ${wantedWords(view.filters[name]!)}`);
  return (
    <form onSubmit={run}>
      <Text size="sm" c="dimmed" mb="xs">
        Calls of {theRange(view.range, view.timezone)}
        {narrowing.length > 0 && ` with ${narrowing.join(", ")}`}: choose others above. A dry run only tells the difference.
      </Text>
      <Group gap="sm" mb="md" align="end">
        <TextInput label="Why" placeholder="new contract" value={note} onChange={(event) => setNote(event.currentTarget.value)} w={260} />
        <Deed variant="default" onClick={() => ask(wish(true))} loading={isAsking}>
          Dry run
        </Deed>
        <Checkbox label="change the amounts" checked={isMeant} onChange={(event) => setMeant(event.currentTarget.checked)} pb={8} />
        <Deed type="submit" disabled={!isMeant} loading={isAsking}>
          Price again
        </Deed>
      </Group>
      {failed && (
        <Text size="sm" className="bad" role="alert" mb="sm">
          {reasonOf(failed)}
        </Text>
      )}
    </form>
  );
}

function isUnderWay(run: Repricing): boolean {
  return run.state === "waiting" || run.state === "running";
}

function Run({ run, view }: { run: Repricing; view: View }) {
  const isDry = run.request["dry_run"] === true;
  const title = run.kind === "backfill" ? "A price came" : isDry ? "Dry run" : "Priced again";
  return (
    <section aria-label={`${title}, ${run.state}`} data-run={run.id}>
      <Group gap="xs" align="baseline">
        <Text fw={600} size="sm">
          {title}
        </Text>
        <Text size="sm" c="dimmed">
          {dateTime(run.asked_at, view.timezone)} by {run.asked_by} · {run.state}
          {run.done_calls !== null && ` · ${count(run.done_calls)} of ${count(run.expected_calls)} calls`}
          {run.note && ` · ${run.note}`}
        </Text>
      </Group>
      {run.outcome?.error && (
        <Text size="sm" className="bad">
          {run.outcome.error}
        </Text>
      )}
      {run.outcome && <Outcome outcome={run.outcome} isDry={isDry} />}
    </section>
  );
}

function Outcome({ outcome, isDry }: { outcome: NonNullable<Repricing["outcome"]>; isDry: boolean }) {
  return (
    <>
      <Text size="sm">
        {counted(outcome.examined, "call")} looked at, {count(outcome.calls)} {isDry ? "would change" : "changed"}
        {outcome.newly_priced > 0 && `, ${count(outcome.newly_priced)} get a price`}
        {outcome.newly_unpriced > 0 && `, ${count(outcome.newly_unpriced)} lose it`}:{" "}
        <span className="number" title={exactMoney(outcome.difference_usd)} data-testid="difference">
          {signedMoney(outcome.difference_usd)}
        </span>{" "}
        <span className="dim number">
          ({money(outcome.old_cost_usd)} to {money(outcome.new_cost_usd)})
        </span>
      </Text>
      {outcome.by.length > 0 && (
        <WideTable minWidth={520}>
          <Table fz="xs" verticalSpacing={3} className="calls">
            <Table.Tbody>
              {outcome.by.slice(0, DAYS_SHOWN).map((part) => (
                <Table.Tr key={`${part.day} ${part.provider} ${part.model}`}>
                  <Table.Td>{part.day}</Table.Td>
                  <Table.Td>{part.model ?? "unknown model"}</Table.Td>
                  <Table.Td ta="right" className="number">
                    {count(part.calls)} calls
                  </Table.Td>
                  <Table.Td ta="right" className="number" title={exactMoney(part.difference_usd)}>
                    {signedMoney(part.difference_usd)}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </WideTable>
      )}
    </>
  );
}
