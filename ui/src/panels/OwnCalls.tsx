/** What the calls that were really made would have cost on other models: each priced again, one by one. */

import { Button, Group, NumberInput, Select, Table, TagsInput, Text } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { whatIf } from "../api/client";
import type { WhatIfAnswer, WhatIfWish } from "../api/types";
import { count, counted, money } from "../format";
import { filterNames, filterWords } from "../view/names";
import { periodOf, theRange } from "../view/range";
import { type View } from "../view/state";
import { Amount } from "./Amount";
import { reasonOf } from "./Panel";
import { WideTable } from "./WideTable";

const TIERS = ["as it was", "default", "batch", "flex", "priority"];
const AS_IT_WAS = TIERS[0]!;

interface Props {
  view: View;
  prices: string | null;
}

export function OwnCalls({ view, prices }: Props) {
  const [models, setModels] = useState<string[]>([]);
  const [tier, setTier] = useState(AS_IT_WAS);
  const [cached, setCached] = useState<number | "">("");
  const asked = useMutation({
    mutationFn: () => {
      const common: WhatIfWish = {
        filters: view.filters,
        ...periodOf(view.range, view.timezone, new Date()),
        timezone: view.timezone,
        ...(tier !== AS_IT_WAS && { service_tier: tier }),
        ...(cached !== "" && { cached_share: String(cached / 100) }),
        ...(prices !== null && { prices }),
      };
      return oneByOne(models.length ? models.map((model) => ({ ...common, model })) : [common]);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    asked.mutate();
  };
  return (
    <section className="panel" aria-label="My own calls" aria-busy={asked.isPending}>
      <Text fw={600} mb="xs" component="h2" fz="h5">
        What would my calls of {theRange(view.range, view.timezone)} have cost?
      </Text>
      <form onSubmit={submit}>
        <Group gap="md" align="end">
          <TagsInput label="On these models" placeholder={models.length ? "" : "as it was"} value={models} onChange={setModels} acceptValueOnBlur miw={260} />
          <Select label="In the tier" allowDeselect={false} data={TIERS} value={tier} onChange={(chosen) => chosen && setTier(chosen)} w={140} />
          <NumberInput label="Input from caches" placeholder="as it was" suffix="%" min={0} max={100} value={cached} onChange={(given) => setCached(given === "" ? "" : Number(given))} w={150} />
          <Button type="submit" loading={asked.isPending}>
            Price them again
          </Button>
        </Group>
      </form>
      <Text size="sm" c="dimmed" mt={4}>
        {filterNames(view.filters).map((name) => filterWords(view.filters, name)).join(", ") || "All calls, whoever made them."}
      </Text>
      {asked.error && (
        <Text size="sm" className="bad" role="alert" mt="xs">
          {reasonOf(asked.error)}
        </Text>
      )}
      {asked.data && <Told answers={asked.data} />}
    </section>
  );
}

/** The server prices one question at a time. */
async function oneByOne(wishes: WhatIfWish[]): Promise<WhatIfAnswer[]> {
  const answers = [];
  for (const wish of wishes) answers.push(await whatIf(wish));
  return answers;
}

function Told({ answers }: { answers: WhatIfAnswer[] }) {
  const first = answers[0]!;
  return (
    <>
      <Text mt="sm" role="status">
        {counted(first.calls, "call")} really cost {money(first.actual.cost_usd)}
        {first.actual.unpriced_calls > 0 && `, ${count(first.actual.unpriced_calls)} of them without a price`}.
      </Text>
      <WideTable minWidth={640}>
        <Table className="calls" fz="sm" verticalSpacing={6} horizontalSpacing={8} data-testid="own-calls">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>On</Table.Th>
              <Table.Th ta="right">Calls with both prices</Table.Th>
              <Table.Th ta="right">They cost</Table.Th>
              <Table.Th ta="right">They would have cost</Table.Th>
              <Table.Th ta="right">Difference</Table.Th>
              <Table.Th ta="right">A month</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {answers.map((one) => (
              <Table.Tr key={one.hypothesis.model ?? ""}>
                <Table.Th scope="row">{one.hypothesis.model ?? "the same models"}</Table.Th>
                <Table.Td ta="right" className="number">
                  {count(one.compared.calls)}
                </Table.Td>
                <Amount amount={one.compared.actual_cost_usd} />
                <Amount amount={one.compared.what_if_cost_usd} />
                <Amount amount={one.compared.difference_usd} as="difference" />
                <Amount amount={one.compared_per_month.difference_usd} as="difference" />
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </WideTable>
      <details className="entries">
        <summary>What this rests on</summary>
        <ul>
          {[...new Set(answers.flatMap((one) => one.assumptions))].map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      </details>
    </>
  );
}
