/** What is allowed, how much of it is spent and held, and when it is there anew. */

import { Badge, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { limits } from "../api/client";
import type { Limit, LimitValue } from "../api/types";
import { count, dateTime, money } from "../format";
import { Panel } from "../panels/Panel";
import type { View } from "../view/state";
import type { PageProps } from "./registry";

const LOOK_AGAIN_MS = 2_000;
const MOST_VALUES = 12;

export default function Limits({ view }: PageProps) {
  const query = useQuery({ queryKey: ["limits"], queryFn: limits, refetchInterval: LOOK_AGAIN_MS });
  return (
    <Panel
      title="Limits"
      query={query}
      isEmpty={(found) => found.length === 0}
      empty={
        <>
          Nobody is held to anything yet. In <code>taximeter.yaml</code>:
          <pre className="snippet">
            {"limits:\n  - {name: monthly-tokens, scope: user, each: true,\n     measure: total_tokens, limit: 100000, window: month, mode: hard}"}
          </pre>
        </>
      }
    >
      {(found) => (
        <Stack gap="lg">
          {found.map((one) => (
            <One key={one.name} limit={one} view={view} />
          ))}
        </Stack>
      )}
    </Panel>
  );
}

function One({ limit, view }: { limit: Limit; view: View }) {
  const values = [...(limit.values ?? [])].sort((a, b) => b.percent - a.percent);
  return (
    <section aria-label={`Limit ${limit.name}`}>
      <Group gap="xs" mb={4}>
        <Text fw={600}>{limit.name}</Text>
        <Badge size="xs" variant="light" color={limit.mode === "hard" ? "red" : "gray"}>
          {limit.mode}
        </Badge>
        <Text size="sm" c="dimmed">
          {amount(limit.limit, limit.measure)} {limit.measure.replaceAll("_", " ").replace("cost usd", "")}
          {limit.provisioned ? " · from the configuration" : limit.changed_by ? ` · by ${limit.changed_by}` : ""}
        </Text>
      </Group>
      {values.length === 0 && (
        <Text size="sm" c="dimmed">
          Nothing has been spent of it in this window.
        </Text>
      )}
      {values.slice(0, MOST_VALUES).map((value) => (
        <Bar key={value.value} value={value} measure={limit.measure} view={view} />
      ))}
      {values.length > MOST_VALUES && (
        <Text size="sm" c="dimmed">
          and {count(values.length - MOST_VALUES)} more
        </Text>
      )}
    </section>
  );
}

function Bar({ value, measure, view }: { value: LimitValue; measure: string; view: View }) {
  const whole = Number(value.amount) || 1;
  const part = (of: string | number) => Math.min(100, (100 * Number(of)) / whole);
  const spent = part(value.spent);
  return (
    <div className="limit-row">
      <span className="cut">{value.value || "everybody"}</span>
      <span
        className="limit-bar"
        role="meter"
        aria-label={`${value.value || "everybody"}: spent`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(spent)}
      >
        <span className={spent >= 100 ? "spent full" : "spent"} style={{ width: `${spent}%` }} />
        <span className="held" style={{ width: `${Math.min(100 - spent, part(value.held))}%` }} />
      </span>
      <span className="number uncut">
        {amount(value.spent, measure)}
        {Number(value.held) > 0 && <span className="dim"> + {amount(value.held, measure)} held</span>} of {amount(value.amount, measure)}
      </span>
      <span className="dim small">{outlook(value, view)}</span>
    </div>
  );
}

function outlook(value: LimitValue, view: View): string {
  const used = value.percent < 100 && value.exhausted_at ? `used up ${dateTime(value.exhausted_at, view.timezone)} at this pace` : "";
  const anew = value.resets_at ? `anew ${dateTime(value.resets_at, view.timezone)}` : "";
  return [used, anew].filter(Boolean).join(" · ");
}

function amount(value: string | number, measure: string): string {
  return measure === "cost_usd" ? money(String(value)) : count(Number(value));
}
