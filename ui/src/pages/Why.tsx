/** Why spend changed: the range against the one before, as a waterfall, and who is behind it. */

import { Group, SegmentedControl, Stack, Table, Text } from "@mantine/core";
import { useState } from "react";

import type { WhyAnswer } from "../api/types";
import { changeWords, counted, dateTime, exactMoney, money, share, signedMoney } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { PageLink } from "../panels/PageLink";
import { Panel } from "../panels/Panel";
import { AGAINST, type Against, change as changeOf, FIRST_AGAINST } from "../questions/why";
import { FACTORS, type Step, waterfall } from "../shape/waterfall";
import { filtered, isFilter, nameOf } from "../view/names";
import { rangeWords } from "../view/range";
import { type ChangeView, type View } from "../view/state";
import type { PageProps } from "./registry";
import { WideTable } from "../panels/WideTable";

export default function Why({ view, change }: PageProps) {
  const [against, setAgainst] = useState<Against>(FIRST_AGAINST);
  const { range, timezone } = view;
  const query = useLiveQuery(changeOf(view, against));
  return (
    <Stack gap="md">
      <Panel
        title={`Why spend changed, ${rangeWords(range, timezone)}`}
        aside={
          <SegmentedControl
            size="xs"
            aria-label="Compare with"
            data={Object.entries(AGAINST).map(([value, label]) => ({ value, label }))}
            value={against}
            onChange={(value) => setAgainst(value as Against)}
          />
        }
        query={query}
        height={320}
        isEmpty={(answer) => answer.factors.length === 0}
        empty="Nothing changed, or there were no priced calls in either time."
      >
        {(answer) => <Change answer={answer} timezone={timezone} />}
      </Panel>
      <Panel title="Who is behind it" query={query} height={240} isEmpty={(answer) => answer.contributors.length === 0}>
        {(answer) => <Contributors answer={answer} view={view} change={change} />}
      </Panel>
    </Stack>
  );
}

function Change({ answer, timezone }: { answer: WhyAnswer; timezone: string }) {
  const rose = Number(answer.change_usd) >= 0;
  const missing = answer.coverage.unpriced_calls + answer.coverage.unpriced_calls_before;
  return (
    <>
      <Group gap="xs" mb="sm" align="baseline">
        <Text span className={`big number ${rose ? "bad" : "good"}`} title={exactMoney(answer.change_usd)} data-testid="change">
          {signedMoney(answer.change_usd)}
        </Text>
        <Text span c="dimmed" size="sm">
          {changeWords(answer.before_usd, answer.after_usd)}: from {money(answer.before_usd)} to {money(answer.after_usd)}, since{" "}
          {dateTime(answer.period.from, timezone)}
          {Number(answer.against.scaled_by) !== 1 && "; the time before was scaled to the same length"}
        </Text>
      </Group>
      <ol className="ranking" aria-label="What the change consists of">
        {waterfall(answer).map((step) => (
          <WaterfallRow key={step.label} step={step} />
        ))}
      </ol>
      {missing > 0 && (
        <Text size="sm" className="warn" mt="xs">
          {counted(missing, "call")} without a price: not in these amounts.
        </Text>
      )}
    </>
  );
}

function WaterfallRow({ step }: { step: Step }) {
  const rises = Number(step.amount) > 0;
  const look = step.isTotal ? "total" : rises ? "rise" : "fall";
  return (
    <li>
      <span className="cut">{step.label}</span>
      <span className="track" aria-hidden>
        <span className={look} style={{ marginLeft: `${step.left}%`, width: `${Math.max(step.width, 0.4)}%` }} />
      </span>
      <span className="number" title={exactMoney(step.amount)}>
        {step.isTotal ? money(step.amount) : signedMoney(step.amount)}
      </span>
    </li>
  );
}

function Contributors({ answer, view, change }: { answer: WhyAnswer; view: View; change: ChangeView }) {
  return (
    <WideTable minWidth={560}>
      <Table className="calls" fz="sm" verticalSpacing={5} horizontalSpacing={8}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>What</Table.Th>
            <Table.Th>Value</Table.Th>
            <Table.Th ta="right">Before</Table.Th>
            <Table.Th ta="right">After</Table.Th>
            <Table.Th ta="right">Share of the change</Table.Th>
            <Table.Th>Mostly</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {answer.contributors.map((one) => (
            <Table.Tr key={`${one.dimension} ${one.value}`}>
              <Table.Td className="dim">{nameOf(one.dimension)}</Table.Td>
              <Table.Td className="group-name">
                <Value dimension={one.dimension} value={one.value} view={view} change={change} />
              </Table.Td>
              <Table.Td ta="right" className="number" title={exactMoney(one.before_usd)}>
                {money(one.before_usd)}
              </Table.Td>
              <Table.Td ta="right" className="number" title={exactMoney(one.after_usd)}>
                {money(one.after_usd)}
              </Table.Td>
              <Table.Td ta="right" className="number">
                {share(one.share, 1)}
              </Table.Td>
              <Table.Td className="dim">{FACTORS[one.factors[0]?.factor ?? ""] ?? ""}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function Value({ dimension, value, view, change }: { dimension: string; value: string | null; view: View; change: ChangeView }) {
  if (value === null) return <span className="dim">(not set)</span>;
  if (!isFilter(dimension)) return <>{value}</>;
  const to = { filters: filtered(view.filters, dimension, value), page: "calls" } as const;
  return (
    <PageLink view={view} change={change} to={to} className="link text">
      {value}
    </PageLink>
  );
}
