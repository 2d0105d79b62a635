/** What a workload would come to if more calls were made, they were longer, or another model answered. */

import { Group, NumberInput, Table, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { calculate } from "../api/client";
import type { Calculation } from "../api/types";
import { difference } from "../decimal";
import { SAME, type Scenario, supposed, wishOf, type Workload } from "../shape/workload";
import { Amount } from "./Amount";
import { Panel } from "./Panel";
import { WideTable } from "./WideTable";

const SPANS = { per_call_usd: "A call", per_day_usd: "A day", per_month_usd: "A month", per_year_usd: "A year" } as const;
const PAUSE_MS = 300;

interface Both {
  now: Calculation;
  then: Calculation;
}

export function Supposed({ workload }: { workload: Workload }) {
  const [scenario, setScenario] = useState(SAME);
  const [asked] = useDebouncedValue(scenario, PAUSE_MS);
  const query = useQuery({
    queryKey: ["calculator", "supposed", workload, asked],
    queryFn: () => both(workload, asked),
    placeholderData: (previous: Both | undefined) => previous,
    retry: false,
  });
  return (
    <Panel title="What if" above={<Fields scenario={scenario} set={(change) => setScenario((before) => ({ ...before, ...change }))} />} query={query} height={120}>
      {(told) => <Beside told={told} />}
    </Panel>
  );
}

async function both(workload: Workload, scenario: Scenario): Promise<Both> {
  const [now, then] = await Promise.all([{ ...workload, compare: [] }, supposed(workload, scenario)].map((one) => calculate(wishOf(one))));
  return { now: now!, then: then! };
}

function Fields({ scenario, set }: { scenario: Scenario; set: (change: Partial<Scenario>) => void }) {
  return (
    <Group gap="md" align="end" mb="sm">
      <NumberInput label="Calls grow by" suffix="%" value={scenario.growth} onChange={(given) => set({ growth: Number(given) || 0 })} min={-100} step={10} w={130} />
      <Times label="Input tokens" value={scenario.inputTimes} set={(inputTimes) => set({ inputTimes })} />
      <Times label="Output tokens" value={scenario.outputTimes} set={(outputTimes) => set({ outputTimes })} />
      <TextInput label="Another model" placeholder="the same" value={scenario.model} onChange={(event) => set({ model: event.currentTarget.value })} w={200} />
    </Group>
  );
}

function Times({ label, value, set }: { label: string; value: number; set: (value: number) => void }) {
  return <NumberInput label={`${label} times`} value={value} onChange={(given) => set(Number(given) || 0)} min={0} step={0.5} w={150} />;
}

function Beside({ told }: { told: Both }) {
  const [now, then] = [told.now.models[0]!, told.then.models[0]!];
  return (
    <WideTable minWidth={420}>
      <Table className="calls" fz="sm" verticalSpacing={6} horizontalSpacing={8} data-testid="what-if">
        <Table.Thead>
          <Table.Tr>
            <Table.Td />
            <Table.Th ta="right">{now.model}, as above</Table.Th>
            <Table.Th ta="right">{then.model}, then</Table.Th>
            <Table.Th ta="right">Difference</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {Object.entries(SPANS).map(([span, words]) => {
            const [before, after] = [now, then].map((one) => one.cost?.[span as keyof typeof SPANS]);
            const look = span === "per_call_usd" ? "unit" : "sum";
            return (
              <Table.Tr key={span}>
                <Table.Th scope="row" fw={500}>
                  {words}
                </Table.Th>
                <Amount amount={before} reason={now.unpriced_reason} as={look} />
                <Amount amount={after} reason={then.unpriced_reason} as={look} />
                <Amount amount={difference(after, before)} as="difference" />
              </Table.Tr>
            );
          })}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}
