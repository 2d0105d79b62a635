/** What is allowed, how much of it is spent and held, and when it is there anew; set, changed, raised and removed. */

import { Badge, Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { askAgain } from "../api/again";
import { removeLimit } from "../api/client";
import type { Limit } from "../api/types";
import { count, limitAmount } from "../format";
import { LimitBar } from "../panels/LimitBar";
import { LimitEditor } from "../panels/LimitEditor";
import { Panel } from "../panels/Panel";
import { TwoSteps } from "../panels/TwoSteps";
import { HOW_LIMITS_STAND } from "../questions/spend";
import { formOf, type LimitForm, MEASURES, NEW_LIMIT, scopeWords, windowWords } from "../shape/limitForm";
import type { View } from "../view/state";
import type { PageProps } from "./registry";

const LOOK_AGAIN_MS = 2_000;
const MOST_VALUES = 12;

export default function Limits({ view, change }: PageProps) {
  const queries = useQueryClient();
  const query = useQuery({ queryKey: HOW_LIMITS_STAND.key, queryFn: HOW_LIMITS_STAND.ask, refetchInterval: LOOK_AGAIN_MS });
  const [edited, setEdited] = useState<LimitForm | null>(null);
  const again = () => void askAgain(queries, HOW_LIMITS_STAND.key);
  const done = () => {
    setEdited(null);
    void askAgain(queries, ["limit history"]);
    again();
  };
  return (
    <Stack gap="md">
      {edited && <LimitEditor key={edited.name} start={edited} isNew={edited === NEW_LIMIT} taken={(query.data ?? []).map(({ name }) => name)} view={view} change={change} done={done} />}
      <Panel
        title="Limits"
        aside={
          <Button size="xs" onClick={() => setEdited(NEW_LIMIT)} disabled={edited === NEW_LIMIT}>
            New limit
          </Button>
        }
        query={query}
        isEmpty={(found) => found.length === 0}
        empty="Nobody is held to anything yet. Make a limit here, or in taximeter.yaml: docs/limits.md."
      >
        {(found) => (
          <Stack gap="lg">
            {found.map((one) => (
              <One key={one.name} limit={one} view={view} edit={() => setEdited(formOf(definitionIn(one)))} again={again} />
            ))}
          </Stack>
        )}
      </Panel>
    </Stack>
  );
}

/** Of what the API tells about a limit, what defines it. */
function definitionIn({ provisioned: _file, version: _number, changed_at: _when, changed_by: _who, values: _standing, ...definition }: Limit) {
  return definition;
}

interface OneProps {
  limit: Limit;
  view: View;
  edit: () => void;
  again: () => void;
}

function One({ limit, view, edit, again }: OneProps) {
  const values = [...(limit.values ?? [])].sort((a, b) => b.percent - a.percent);
  const form = formOf(definitionIn(limit));
  return (
    <section aria-label={`Limit ${limit.name}`}>
      <Group gap="xs" mb={4}>
        <Text fw={600} className="wrap-anywhere">
          {limit.name}
        </Text>
        <Badge size="xs" variant="light" color={limit.mode === "hard" ? "red" : "gray"} c={limit.mode === "hard" ? "var(--bad)" : "var(--dim)"}>
          {limit.mode}
        </Badge>
        <Text size="sm" c="dimmed">
          {scopeWords(form)}: {limitAmount(limit.limit, limit.measure)} {limit.measure === "cost_usd" ? "" : MEASURES[form.measure]} {windowWords(form)}
          {limit.changed_by && ` · by ${limit.changed_by}`}
        </Text>
        {limit.provisioned ? (
          <Text size="sm" c="dimmed">
            · from the configuration file, and changed there
          </Text>
        ) : (
          <Group gap={4} ml="auto">
            <Button size="compact-xs" variant="default" aria-label={`Change ${limit.name}`} onClick={edit}>
              Change
            </Button>
            <Remove name={limit.name} removed={again} />
          </Group>
        )}
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

/** From that moment on nobody is held by it. */
function Remove({ name, removed }: { name: string; removed: () => void }) {
  const remove = useMutation({ mutationFn: () => removeLimit(name), onSuccess: removed });
  return <TwoSteps label="Remove" name={name} act={remove} />;
}
