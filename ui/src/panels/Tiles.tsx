/** Spend now, today and this month: the three numbers people open the page for. */

import { SimpleGrid, Text, Tooltip } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ask } from "../api/client";
import type { Answer } from "../api/types";
import { compact, count, exactMoney, money } from "../format";
import { LIVE } from "../useLive";
import { dateIn, firstOfMonth, type View } from "../view/state";

const NOW_MINUTES = 5;
const MEASURES = ["cost_usd", "calls", "errors", "unpriced_calls", "input_tokens", "output_tokens", "cache_hit_rate"];

export function Tiles({ view }: { view: View }) {
  const today = dateIn(view.timezone, new Date());
  const now = useTotals("now", `${NOW_MINUTES}m`, view);
  const day = useTotals("today", today, view);
  const month = useTotals("month", firstOfMonth(today), view);
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
      <MoneyTile
        label="Now"
        about={`Spend of the last ${NOW_MINUTES} minutes, as an hourly rate`}
        answer={now}
        amount={perHour(now)}
        suffix="/h"
        note={(a) => `${money(cost(a))} in ${NOW_MINUTES} min · ${count(Number(a.totals["calls"] ?? 0))} calls`}
      />
      <MoneyTile
        label="Today"
        about={`Since midnight in ${view.timezone}`}
        answer={day}
        amount={cost(day)}
        note={(a) => `${compact(Number(a.totals["calls"] ?? 0))} calls · ${compact(Number(a.totals["errors"] ?? 0))} failed`}
      />
      <MoneyTile
        label="Month to date"
        about={`Since ${firstOfMonth(today)} in ${view.timezone}`}
        answer={month}
        amount={cost(month)}
        note={(a) => `${compact(Number(a.totals["calls"] ?? 0))} calls`}
      />
      <Tile label="Tokens today" about="Input, cache included, and output">
        <div className="big number">
          {compact(sum(day?.totals["input_tokens"], day?.totals["output_tokens"]))}
        </div>
        <Text size="xs" c="dimmed">
          {compact(known(day?.totals["input_tokens"]))} in · {compact(known(day?.totals["output_tokens"]))} out
          {hitRate(day)}
        </Text>
      </Tile>
    </SimpleGrid>
  );
}

function useTotals(name: string, from: string, view: View): Answer | undefined {
  return useQuery({
    queryKey: [LIVE, "totals", name, from, view.timezone],
    queryFn: () => ask({ measures: MEASURES, from, timezone: view.timezone }),
  }).data;
}

interface MoneyTileProps {
  label: string;
  about: string;
  answer: Answer | undefined;
  amount: string | null | undefined;
  suffix?: string;
  note: (answer: Answer) => string;
}

function MoneyTile({ label, about, answer, amount, suffix, note }: MoneyTileProps) {
  const unpriced = answer?.coverage.unpriced_calls ?? 0;
  return (
    <Tile label={label} about={about}>
      <div className="big number" data-testid={`tile-${label.toLowerCase().replaceAll(" ", "-")}`} title={exactMoney(amount)}>
        {answer ? money(amount ?? (Number(answer.totals["calls"]) ? null : "0")) : "…"}
        {suffix && (
          <Text span size="sm" c="dimmed">
            {suffix}
          </Text>
        )}
      </div>
      <Text size="xs" c="dimmed">
        {answer && note(answer)}
        {unpriced > 0 && (
          <Text span size="xs" c="orange">
            {" "}
            · {count(unpriced)} not priced
          </Text>
        )}
      </Text>
    </Tile>
  );
}

function Tile({ label, about, children }: { label: string; about: string; children: ReactNode }) {
  return (
    <section className="panel" aria-label={label}>
      <Tooltip label={about} openDelay={300}>
        <Text size="sm" c="dimmed" w="fit-content">
          {label}
        </Text>
      </Tooltip>
      {children}
    </section>
  );
}

function cost(answer: Answer | undefined): string | null | undefined {
  return answer?.totals["cost_usd"] as string | null | undefined;
}

/** A rate for display only; the exact amount stands below it. */
function perHour(answer: Answer | undefined): string | null | undefined {
  const amount = cost(answer);
  return amount ? ((Number(amount) * 60) / NOW_MINUTES).toFixed(6) : amount;
}

function known(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function sum(a: unknown, b: unknown): number | null {
  return known(a) === null && known(b) === null ? null : (known(a) ?? 0) + (known(b) ?? 0);
}

function hitRate(answer: Answer | undefined): string {
  const rate = known(answer?.totals["cache_hit_rate"]);
  return rate === null ? "" : ` · ${Math.round(rate * 100)}% from cache`;
}
