/** Rules of one's own: what is watched, made and changed here or in the file. */

import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { askAgain } from "../api/again";
import { removeRule, rules } from "../api/client";
import type { Rule } from "../api/types";
import { NEW_RULE, type RuleForm, ruleFormOf, ruleWords } from "../shape/ruleForm";
import type { View } from "../view/state";
import { Panel } from "./Panel";
import { RuleEditor } from "./RuleEditor";
import { TwoSteps } from "./TwoSteps";

export function Rules({ view }: { view: View }) {
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ["rules"], queryFn: rules });
  const [edited, setEdited] = useState<RuleForm | null>(null);
  const again = () => void askAgain(queries, ["rules"]);
  const done = () => {
    setEdited(null);
    again();
  };
  return (
    <>
      {edited && <RuleEditor key={edited.name} start={edited} isNew={edited === NEW_RULE} taken={(query.data ?? []).map(({ name }) => name)} view={view} done={done} />}
      <Panel
        title="Rules"
        aside={
          <Button size="xs" onClick={() => setEdited(NEW_RULE)} disabled={edited === NEW_RULE}>
            New rule
          </Button>
        }
        query={query}
        isEmpty={(found) => found.length === 0}
        empty="No rules of your own yet: anomalies, limits, prices and the meter itself are watched without."
      >
        {(found) => (
          <Stack gap="xs">
            {found.map((one) => (
              <One key={one.name} rule={one} edit={() => setEdited(ruleFormOf(definitionIn(one)))} again={again} />
            ))}
          </Stack>
        )}
      </Panel>
    </>
  );
}

/** Of what the API tells about a rule, what defines it. */
function definitionIn({ provisioned: _file, version: _number, changed_at: _when, changed_by: _who, ...definition }: Rule) {
  return definition;
}

function One({ rule, edit, again }: { rule: Rule; edit: () => void; again: () => void }) {
  const remove = useMutation({ mutationFn: () => removeRule(rule.name), onSuccess: again });
  return (
    <Group gap="xs" role="group" aria-label={`Rule ${rule.name}`}>
      <Text fw={600} className="wrap-anywhere">
        {rule.name}
      </Text>
      <Text size="sm" c="dimmed" className="wrap-anywhere">
        {ruleWords(ruleFormOf(definitionIn(rule)))}
        {rule.provisioned ? " · from the configuration file, and changed there" : ` · by ${rule.changed_by}`}
      </Text>
      {!rule.provisioned && (
        <Group gap={4} ml="auto">
          <Button size="compact-xs" variant="default" aria-label={`Change ${rule.name}`} onClick={edit}>
            Change
          </Button>
          <TwoSteps label="Remove" name={rule.name} act={remove} />
        </Group>
      )}
    </Group>
  );
}
