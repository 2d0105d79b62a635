/** A rule as a form: made or changed, and tried on the calls of the past before it wakes anybody. */

import { Button, Group, MultiSelect, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { previewRule, setRule } from "../api/client";
import type { RulePreview } from "../api/types";
import { counted, dateTime } from "../format";
import { AGAINST, NO_DATA, type RuleForm, ruleOf } from "../shape/ruleForm";
import { MEASURES } from "../view/measures";
import { DIMENSIONS } from "../view/names";
import type { View } from "../view/state";
import { Deed } from "./Deed";
import { Choice, mistakesOf, Pairs, Problem, takenWords } from "./fields";

const SINCE = { "24h": "24 hours", "7d": "7 days", "30d": "30 days" } as const;
const MOST_LISTED = 8;

interface Props {
  start: RuleForm;
  /** Of a rule that there is, its name stays. */
  isNew: boolean;
  /** Names that rules have already. */
  taken: string[];
  view: View;
  done: () => void;
}

export function RuleEditor({ start, isNew, taken, view, done }: Props) {
  const [form, setForm] = useState(start);
  const [since, setSince] = useState<keyof typeof SINCE>("30d");
  const save = useMutation({ mutationFn: () => setRule(ruleOf(form)), onSuccess: done });
  const preview = useMutation({ mutationFn: () => previewRule(ruleOf({ ...form, name: form.name || "unnamed" }), since) });
  const set = (changed: Partial<RuleForm>) => {
    setForm((before) => ({ ...before, ...changed }));
    save.reset();
    preview.reset();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const error = save.error ?? preview.error;
  const name = isNew && takenWords("rule", form.name, taken);
  return (
    <section className="panel" aria-label={isNew ? "New rule" : `Change the rule ${start.name}`}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Fields form={form} set={set} isNew={isNew} wrong={{ ...mistakesOf(error), ...(name && { name }) }} />
          <Group gap="xs">
            <Deed type="submit" loading={save.isPending} disabled={!!name}>
              {isNew ? "Set the rule" : "Change the rule"}
            </Deed>
            <Button.Group>
              <Button variant="default" loading={preview.isPending} onClick={() => preview.mutate()}>
                When would it have fired?
              </Button>
              <Select
                aria-label="In which time"
                allowDeselect={false}
                data={Object.entries(SINCE).map(([value, label]) => ({ value, label }))}
                value={since}
                onChange={(chosen) => {
                  if (chosen) setSince(chosen as keyof typeof SINCE);
                  preview.reset();
                }}
                w={115}
              />
            </Button.Group>
            <Button variant="default" onClick={done}>
              Cancel
            </Button>
          </Group>
        </Stack>
      </form>
      <Problem error={error} />
      {preview.data && <Fired told={preview.data} within={SINCE[since]} view={view} />}
    </section>
  );
}

interface FieldsProps {
  form: RuleForm;
  set: (changed: Partial<RuleForm>) => void;
  isNew: boolean;
  wrong: Record<string, string>;
}

function Fields({ form, set, isNew, wrong }: FieldsProps) {
  const text = (label: string, name: "name" | "over" | "warning" | "critical" | "holds", field: string, width: number, placeholder: string) => (
    <TextInput
      label={label}
      placeholder={placeholder}
      value={form[name]}
      readOnly={name === "name" && !isNew}
      error={wrong[field]}
      onChange={(event) => set({ [name]: event.currentTarget.value })}
      w={width}
    />
  );
  return (
    <>
      <Group gap="sm" align="start">
        {text("Name", "name", "name", 190, "chat-burn")}
        <Select
          label="Measure"
          searchable
          allowDeselect={false}
          data={[...new Set([...Object.keys(MEASURES), form.measure])]}
          value={form.measure}
          error={wrong["measure"]}
          onChange={(measure) => measure && set({ measure })}
          w={230}
        />
        {text("over", "over", "over", 90, "10m")}
        <Choice label="Compared" options={AGAINST} value={form.against} set={(against) => set({ against })} width={220} />
      </Group>
      <Group gap="sm" align="start">
        {text("Warning", "warning", "warning", 120, "> 20")}
        {text("Critical", "critical", "critical", 120, "> 50")}
        {text("When it held for", "holds", "for", 120, "5m")}
        <Choice label="Without calls" options={NO_DATA} value={form.noData} set={(noData) => set({ noData })} width={160} />
      </Group>
      <Group gap="sm" align="start">
        <MultiSelect label="An alert for each" data={[...new Set([...Object.keys(DIMENSIONS), ...form.each])]} value={form.each} error={wrong["each"]} onChange={(each) => set({ each })} miw={220} />
        <Pairs label="Only calls with" placeholder="feature=chat" value={form.where} error={wrong["where"]} set={(where) => set({ where })} />
      </Group>
    </>
  );
}

function Fired({ told, within, view }: { told: RulePreview; within: string; view: View }) {
  return (
    <section aria-label="When it would have fired" role="status">
      <Text mt="sm" fw={600}>
        {told.count === 0 ? `In the last ${within} it would not have fired.` : `In the last ${within} it would have fired ${counted(told.count, "time")}.`}
      </Text>
      {told.step_seconds > 60 && <Text size="sm" c="dimmed">It was looked at every {Math.round(told.step_seconds / 60)} minutes.</Text>}
      <ul className="text">
        {told.firings.slice(0, MOST_LISTED).map((one) => (
          <li key={`${one.from} ${JSON.stringify(one.labels)}`}>
            {dateTime(one.from, view.timezone)}, {one.severity}
            {one.to === null ? ", until now" : ` until ${dateTime(one.to, view.timezone)}`}: {one.summary}
          </li>
        ))}
        {told.count > MOST_LISTED && <li className="dim">and {counted(told.count - MOST_LISTED, "time")} more</li>}
      </ul>
    </section>
  );
}
