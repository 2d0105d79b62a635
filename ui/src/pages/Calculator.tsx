/** What a workload costs, models side by side. */

import { Group, NumberInput, Slider, Stack, Table, TagsInput, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { calculate } from "../api/client";
import type { Calculation } from "../api/types";
import { count, exactMoney, money } from "../format";
import { Panel } from "../panels/Panel";
import { WideTable } from "../panels/WideTable";

const STARTING = {
  model: "gpt-4o",
  compare: ["gpt-4o-mini", "claude-sonnet-4-5"],
  input_tokens: 1000,
  output_tokens: 500,
  calls_per_day: 100_000,
  cached: 0,
};
type Wish = typeof STARTING;
const PAUSE_MS = 300;

export default function Calculator() {
  const [wish, setWish] = useState<Wish>(STARTING);
  const set = (change: Partial<Wish>) => setWish((before) => ({ ...before, ...change }));
  const [asked] = useDebouncedValue(wish, PAUSE_MS);
  const query = useQuery({
    queryKey: ["calculator", asked],
    queryFn: () => {
      const { cached, ...workload } = asked;
      return calculate({ ...workload, cached_share: String(cached / 100) });
    },
    placeholderData: (previous: Calculation | undefined) => previous,
    retry: false,
  });
  return (
    <Stack gap="md">
      <section className="panel" aria-label="Workload">
        <Group gap="md" align="end">
          <TextInput label="Model" value={wish.model} onChange={(event) => set({ model: event.currentTarget.value })} w={200} />
          <TagsInput label="Beside" value={wish.compare} onChange={(compare) => set({ compare })} miw={260} />
          <Tokens label="Input tokens a call" value={wish.input_tokens} set={(input_tokens) => set({ input_tokens })} />
          <Tokens label="Output tokens a call" value={wish.output_tokens} set={(output_tokens) => set({ output_tokens })} />
          <Tokens label="Calls a day" value={wish.calls_per_day} set={(calls_per_day) => set({ calls_per_day })} />
          <Stack gap={4} w={200}>
            <Text size="sm" fw={500} id="cached-label">
              Input from caches: {wish.cached}%
            </Text>
            <Slider aria-labelledby="cached-label" thumbLabel="Input from caches, percent" value={wish.cached} onChange={(cached) => set({ cached })} label={null} />
          </Stack>
        </Group>
      </section>
      <Panel title="Costs" query={query} height={200}>
        {(answer) => <Models answer={answer} />}
      </Panel>
    </Stack>
  );
}

function Tokens({ label, value, set }: { label: string; value: number; set: (value: number) => void }) {
  return (
    <NumberInput label={label} value={value} onChange={(given) => set(Number(given) || 0)} min={0} thousandSeparator="," allowDecimal={false} w={160} />
  );
}

function Models({ answer }: { answer: Calculation }) {
  return (
    <WideTable minWidth={720}>
      <Table fz="sm" verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Model</Table.Th>
            <Table.Th>Tier</Table.Th>
            <Table.Th ta="right">Context</Table.Th>
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
              <Amount amount={one.cost?.per_call_usd} reason={one.unpriced_reason} />
              <Amount amount={one.cost?.per_day_usd} reason={null} />
              <Amount amount={one.cost?.per_month_usd} reason={null} />
              <Amount amount={one.difference?.per_month_usd} reason={null} />
              <Table.Td className="dim">{one.price_checked_on ?? "not known"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Amount({ amount, reason }: { amount: string | null | undefined; reason: string | null }) {
  return (
    <Table.Td ta="right" className="number" title={exactMoney(amount)}>
      {amount === undefined && reason ? <span className="warn">{reason.replaceAll("_", " ")}</span> : money(amount)}
    </Table.Td>
  );
}
