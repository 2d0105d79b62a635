/** Spend now, today and this month: the numbers people open the page for. */

import { Group, SimpleGrid, Skeleton, Text, UnstyledButton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import type { Answer, Forecast, Limit, Money } from "../api/types";
import { useAnswer } from "../api/useAnswer";
import { multiply } from "../decimal";
import { compact, count, counted, dayAndMonth, exactMoney, money, roundMoney } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { HOW_LIMITS_STAND, lately, monthEnd, monthToDate, NOW_MINUTES, today } from "../questions/spend";
import { fullest, usedUp } from "../shape/budget";
import type { ChangeView, View } from "../view/state";
import { dateIn, firstOfMonth, placeOf } from "../view/zone";
import { PageLink } from "./PageLink";
import { reasonOf } from "./Panel";

const LOOK_AT_LIMITS_MS = 5_000;
const NOWS_PER_HOUR = 60 / NOW_MINUTES;
export function Tiles({ view, change }: { view: View; change: ChangeView }) {
  const month = firstOfMonth(dateIn(view.timezone, new Date()));
  const day = useLiveQuery(today(view));
  return (
    <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="md" className="tiles">
      <Tile label="Now" since={`last ${NOW_MINUTES} min`} query={useLiveQuery(lately(view))}>
        {(answer) => (
          <>
            <Amount name="now" amount={hourly(answer)} suffix="/h" />
            <Note answer={answer}>
              <span title={exactMoney(cost(answer))}>{money(cost(answer))}</span> in {NOW_MINUTES} min ·{" "}
              {counted(number(answer, "calls"), "call")}
            </Note>
          </>
        )}
      </Tile>
      <Tile label="Today" since="since 00:00" zone={view.timezone} query={day}>
        {(answer) => (
          <>
            <Amount name="today" amount={cost(answer)} />
            <Note answer={answer}>
              {counted(number(answer, "calls"), "call")} · {count(number(answer, "errors"))} failed
            </Note>
          </>
        )}
      </Tile>
      <Tile label="Month to date" since={`since ${dayAndMonth(month, "UTC")}`} query={useLiveQuery(monthToDate(view))}>
        {(answer) => (
          <>
            <Amount name="month-to-date" amount={cost(answer)} />
            <Note answer={answer}>{counted(number(answer, "calls"), "call")}</Note>
          </>
        )}
      </Tile>
      <Tile label="Month end" since="forecast" query={useLiveQuery(monthEnd(view))}>
        {(told) => <MonthEnd told={told} />}
      </Tile>
      <Tile label="Tokens today" since="in and out" query={day}>
        {(answer) => (
          <>
            <div className="big number" data-testid="tile-tokens-today" title={count(number(answer, "total_tokens"))}>
              {compact(number(answer, "total_tokens"))}
            </div>
            <Text size="xs" c="dimmed">
              {compact(number(answer, "input_tokens"))} in · {compact(number(answer, "output_tokens"))} out{hitRate(answer)}
            </Text>
          </>
        )}
      </Tile>
      <Tile label="Limits" since="the fullest" query={useLimits()}>
        {(found) => <Fullest limits={found} view={view} change={change} />}
      </Tile>
    </SimpleGrid>
  );
}

function useLimits(): UseQueryResult<Limit[]> {
  return useAnswer({ queryKey: HOW_LIMITS_STAND.key, queryFn: HOW_LIMITS_STAND.ask, refetchInterval: LOOK_AT_LIMITS_MS });
}

/** How much of a limit whoever is closest to it has spent, and how many have nothing left. */
function Fullest({ limits: found, view, change }: { limits: Limit[]; view: View; change: ChangeView }) {
  const [most, over] = [fullest(found), usedUp(found)];
  const link = (words: string) => (
    <PageLink view={view} change={change} to={{ page: "limits" }} className="link">
      {words}
    </PageLink>
  );
  return (
    <>
      <div className={over ? "big number bad" : "big number"} data-testid="tile-limits">
        {most ? `${most.value.percent}%` : "–"}
      </div>
      <Text size="xs" c="dimmed" className="cut">
        {over > 0 && <span className="bad">{count(over)} used up · </span>}
        {most ? link(`${most.limit.name}${most.value.value && `: ${most.value.value}`}`) : link(found.length ? "nothing spent of them" : "set the first one")}
      </Text>
    </>
  );
}

/** Between what it will be four times out of five; why there is no forecast yet. */
function MonthEnd({ told }: { told: Forecast }) {
  return (
    <>
      <Amount name="month-end" amount={told.forecast_usd} rounded />
      <Text size="xs" c="dimmed">
        {told.forecast_usd === null ? (
          told.reason
        ) : (
          <span title="Four times out of five, if the days to come are like those of the last four weeks" data-testid="month-end-band">
            {roundMoney(told.low_usd)} to {roundMoney(told.high_usd)}
          </span>
        )}
      </Text>
    </>
  );
}

interface TileProps<T> {
  label: string;
  since: string;
  zone?: string;
  query: UseQueryResult<T>;
  children: (answer: T) => ReactNode;
}

function Tile<T>({ label, since, zone, query, children }: TileProps<T>) {
  return (
    <section className={query.isPlaceholderData ? "panel tile of-before" : "panel tile"} aria-label={label} aria-busy={query.isPending}>
      <Group justify="space-between" gap={6} wrap={zone ? "nowrap" : "wrap"} className="one-line">
        <Text size="sm" fw={500} className="uncut">
          {label}
        </Text>
        <Text size="xs" c="dimmed" className="cut" title={zone}>
          {since}
          {zone && (
            <Text span inherit visibleFrom="lg">
              {" "}
              {placeOf(zone)}
            </Text>
          )}
        </Text>
      </Group>
      {query.data ? children(query.data) : <Waiting query={query} />}
    </section>
  );
}

function Waiting({ query }: { query: UseQueryResult<unknown> }) {
  if (!query.isError) return <Skeleton height={40} mt={6} aria-hidden />;
  return (
    <>
      <div className="big">–</div>
      <Text size="xs" className="bad" title={reasonOf(query.error)}>
        could not load ·{" "}
        <UnstyledButton fz="xs" td="underline" onClick={() => void query.refetch()}>
          try again
        </UnstyledButton>
      </Text>
    </>
  );
}

/** An unknown amount is a dash. */
function Amount({ name, amount, suffix, rounded }: { name: string; amount: Money | null; suffix?: string; rounded?: boolean }) {
  return (
    <div className="big number" data-testid={`tile-${name}`} title={exactMoney(amount)}>
      {rounded ? roundMoney(amount) : money(amount)}
      {suffix && amount !== null && (
        <Text span size="sm" fw={500} c="dimmed">
          {suffix}
        </Text>
      )}
    </div>
  );
}

function Note({ answer, children }: { answer: Answer; children: ReactNode }) {
  const unpriced = answer.coverage.unpriced_calls;
  return (
    <Text size="xs" c="dimmed">
      {children}
      {unpriced > 0 && (
        <>
          {" · "}
          <span className="warn uncut">{count(unpriced)} not priced</span>
        </>
      )}
    </Text>
  );
}

/** Null when there were calls and none has a price; without calls nothing was spent. */
function cost(answer: Answer): Money | null {
  return (answer.totals["cost_usd"] as Money | null) ?? (answer.totals["calls"] ? null : "0");
}

function hourly(answer: Answer): Money | null {
  const amount = cost(answer);
  return amount && multiply(amount, NOWS_PER_HOUR);
}

function number(answer: Answer, measure: string): number {
  return Number(answer.totals[measure] ?? 0);
}

function hitRate(answer: Answer): string {
  const rate = answer.totals["cache_hit_rate"];
  return rate === null ? "" : ` · ${Math.round(Number(rate) * 100)}% cached`;
}
