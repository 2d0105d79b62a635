/** What is allowed, how much of it is spent and held, and when it is there anew. */

import { Badge, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { limits } from "../api/client";
import type { Limit } from "../api/types";
import { count } from "../format";
import { LimitBar, limitAmount } from "../panels/LimitBar";
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
          {limitAmount(limit.limit, limit.measure)} {limit.measure.replaceAll("_", " ").replace("cost usd", "")}
          {limit.provisioned ? " · from the configuration" : limit.changed_by ? ` · by ${limit.changed_by}` : ""}
        </Text>
      </Group>
      {values.length === 0 && (
        <Text size="sm" c="dimmed">
          Nothing has been spent of it in this window.
        </Text>
      )}
      {values.slice(0, MOST_VALUES).map((value) => (
        <LimitBar key={value.value} value={value} measure={limit.measure} view={view} />
      ))}
      {values.length > MOST_VALUES && (
        <Text size="sm" c="dimmed">
          and {count(values.length - MOST_VALUES)} more
        </Text>
      )}
    </section>
  );
}
