/** What a workload costs, models side by side; what might become of it; and what one's own calls would have cost. */

import { Button, FileInput, Group, NumberInput, Slider, Stack, Table, TagsInput, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { ask, calculate } from "../api/client";
import type { Calculation } from "../api/types";
import { Amount } from "../panels/Amount";
import { OwnCalls } from "../panels/OwnCalls";
import { Panel } from "../panels/Panel";
import { Supposed } from "../panels/Supposed";
import { WideTable } from "../panels/WideTable";
import { count } from "../format";
import { OWN_MEASURES, ownWorkload, wishOf, type Workload } from "../shape/workload";
import { lookOf, periodOf, theRange } from "../view/range";
import { type View } from "../view/state";
import type { PageProps } from "./registry";

const STARTING: Workload = {
  model: "gpt-4o",
  compare: ["gpt-4o-mini", "claude-sonnet-4-5"],
  input_tokens: 1000,
  output_tokens: 500,
  calls_per_day: 100_000,
  cached: 0,
  prices: null,
};
const PAUSE_MS = 300;
const DAY_SECONDS = 86_400;

export default function Calculator({ view }: PageProps) {
  const [workload, setWorkload] = useState(STARTING);
  const set = (change: Partial<Workload>) => setWorkload((before) => ({ ...before, ...change }));
  const [asked] = useDebouncedValue(workload, PAUSE_MS);
  const query = useQuery({
    queryKey: ["calculator", asked],
    queryFn: () => calculate(wishOf(asked)),
    placeholderData: (previous: Calculation | undefined) => previous,
    retry: false,
  });
  return (
    <Stack gap="md">
      <section className="panel" aria-label="Workload">
        <Fields workload={workload} set={set} view={view} />
      </section>
      <Panel title="Costs" query={query} height={200}>
        {(answer) => <Models answer={answer} />}
      </Panel>
      <Supposed workload={asked} />
      <OwnCalls view={view} prices={workload.prices} />
    </Stack>
  );
}

interface FieldsProps {
  workload: Workload;
  set: (change: Partial<Workload>) => void;
  view: View;
}

function Fields({ workload, set, view }: FieldsProps) {
  return (
    <Group gap="md" align="end">
      <TextInput label="Model" value={workload.model} onChange={(event) => set({ model: event.currentTarget.value })} w={200} />
      <TagsInput label="Beside" value={workload.compare} onChange={(compare) => set({ compare })} miw={260} />
      <Whole label="Input tokens a call" value={workload.input_tokens} set={(input_tokens) => set({ input_tokens })} />
      <Whole label="Output tokens a call" value={workload.output_tokens} set={(output_tokens) => set({ output_tokens })} />
      <Whole label="Calls a day" value={workload.calls_per_day} set={(calls_per_day) => set({ calls_per_day })} />
      <Stack gap={4} w={200}>
        <Text size="sm" fw={500} id="cached-label">
          Input from caches: {workload.cached}%
        </Text>
        <Slider aria-labelledby="cached-label" thumbLabel="Input from caches, percent" value={workload.cached} onChange={(cached) => set({ cached })} label={null} />
      </Stack>
      <FileInput
        label="Other prices"
        placeholder="a price file"
        accept=".yaml,.yml"
        clearable
        clearButtonProps={{ "aria-label": "The server's own prices" }}
        onChange={(file) => (file ? void file.text().then((prices) => set({ prices })) : set({ prices: null }))}
        w={200}
      />
      <FromOwnCalls set={set} view={view} />
    </Group>
  );
}

function Whole({ label, value, set }: { label: string; value: number; set: (value: number) => void }) {
  return (
    <NumberInput label={label} value={value} onChange={(given) => set(Number(given) || 0)} min={0} thousandSeparator="," allowDecimal={false} w={160} />
  );
}

/** Fills the fields with the average call of the range and its filters. */
function FromOwnCalls({ set, view }: Omit<FieldsProps, "workload">) {
  const take = useMutation({
    mutationFn: async () => {
      const period = periodOf(view.range, view.timezone, new Date());
      const { totals } = await ask({ measures: OWN_MEASURES, ...period, timezone: view.timezone, filters: view.filters });
      return ownWorkload(totals, lookOf(view.range).seconds / DAY_SECONDS);
    },
    onSuccess: (own) => own && set(own),
  });
  return (
    <Stack gap={4}>
      {take.data === null && (
        <Text size="sm" role="status">
          There were no calls.
        </Text>
      )}
      <Button variant="default" loading={take.isPending} onClick={() => take.mutate()}>
        As my calls of {theRange(view.range, view.timezone)}
      </Button>
    </Stack>
  );
}

function Models({ answer }: { answer: Calculation }) {
  return (
    <WideTable minWidth={720}>
      <Table className="calls" fz="sm" verticalSpacing={6} horizontalSpacing={8}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th>Tier</Table.Th>
            <Table.Th ta="right">Context, tokens</Table.Th>
            <Table.Th ta="right">A call</Table.Th>
            <Table.Th ta="right">A day</Table.Th>
            <Table.Th ta="right">A month</Table.Th>
            <Table.Th ta="right">Difference a month</Table.Th>
            <Table.Th>Price checked</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {answer.models.map((one) => (
            <Table.Tr key={`${one.provider} ${one.model}`}>
              <Table.Td fw={600}>{one.model}</Table.Td>
              <Table.Td className="dim">{one.tier_class ?? "–"}</Table.Td>
              <Table.Td ta="right" className="number">
                {count(one.context_window_tokens)}
              </Table.Td>
              <Amount amount={one.cost?.per_call_usd} reason={one.unpriced_reason} as="unit" />
              <Amount amount={one.cost?.per_day_usd} />
              <Amount amount={one.cost?.per_month_usd} />
              <Amount amount={one.difference?.per_month_usd} as="difference" />
              <Table.Td className="dim">{one.price_checked_on ?? "not known"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
