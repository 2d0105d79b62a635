/** A limit as a form: made or changed, and tried on the calls of the past before it holds anybody. */

import { Button, Group, MultiSelect, Select, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { limitHistory, setLimit, simulateLimit } from "../api/client";
import type { LimitVersion, Simulation } from "../api/types";
import { count, dateTime, money } from "../format";
import { ACTIONS, ATTRIBUTES, definitionOf, formOf, type LimitForm, MEASURES, WINDOWS, withMode } from "../shape/limitForm";
import type { ChangeView, View } from "../view/state";
import { instantOf } from "../view/zone";
import { Deed } from "./Deed";
import { Choice, mistakesOf, Pairs, Problem, takenWords } from "./fields";
import { PageLink } from "./PageLink";

const SINCE = { "24h": "24 hours", "7d": "7 days", "30d": "30 days" } as const;
const MOST_LISTED = 8;

interface Props {
  start: LimitForm;
  /** Of a limit that there is, its name stays. */
  isNew: boolean;
  /** Names that limits have already. */
  taken: string[];
  view: View;
  change: ChangeView;
  done: () => void;
}

export function LimitEditor({ start, isNew, taken, view, change, done }: Props) {
  const [form, setForm] = useState(start);
  const save = useMutation({ mutationFn: () => setLimit(definitionOf(form)), onSuccess: done });
  const simulate = useMutation({ mutationFn: (since: string) => simulateLimit(definitionOf({ ...form, name: form.name || "unnamed" }), since) });
  const set = (changed: Partial<LimitForm>) => {
    setForm((before) => ({ ...before, ...changed }));
    save.reset();
    simulate.reset();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  const name = isNew && takenWords("limit", form.name, taken);
  return (
    <section className="panel" aria-label={isNew ? "New limit" : `Change the limit ${start.name}`}>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Fields form={form} set={set} isNew={isNew} wrong={{ ...mistakesOf(save.error ?? simulate.error), ...(name && { name }) }} timezone={view.timezone} />
          <Group gap="xs">
            <Deed type="submit" loading={save.isPending} disabled={!!name}>
              {isNew ? "Set the limit" : "Change the limit"}
            </Deed>
            <Try pick={(since) => simulate.mutate(since)} busy={simulate.isPending} />
            <Button variant="default" onClick={done}>
              Cancel
            </Button>
          </Group>
        </Stack>
      </form>
      <Problem error={save.error ?? simulate.error} />
      {simulate.data && <Simulated told={simulate.data} since={simulate.variables} view={view} change={change} />}
      {!isNew && <History name={start.name} view={view} pick={(version) => version.definition && set(formOf(version.definition))} />}
    </section>
  );
}

interface FieldsProps {
  form: LimitForm;
  set: (changed: Partial<LimitForm>) => void;
  isNew: boolean;
  wrong: Record<string, string>;
  /** In which moments are written and shown. */
  timezone: string;
}

function Fields({ form, set, isNew, wrong, timezone }: FieldsProps) {
  const hasWindow = form.measure !== "concurrent";
  return (
    <>
      <Group gap="sm" align="start">
        <TextInput
          label="Name"
          placeholder="chat-daily"
          value={form.name}
          readOnly={!isNew}
          error={wrong["name"]}
          onChange={(event) => set({ name: event.currentTarget.value })}
          w={190}
          data-autofocus
        />
        <TextInput label="Amount" inputMode="decimal" value={form.amount} error={wrong["limit"]} onChange={(event) => set({ amount: event.currentTarget.value })} w={120} />
        <Choice label="of" options={MEASURES} value={form.measure} set={(measure) => set({ measure })} width={150} />
        {hasWindow && <Choice label="in each" options={WINDOWS} value={form.window} set={(window) => set({ window })} width={120} />}
        {hasWindow && form.window === "rolling" && (
          <TextInput label="Length" placeholder="24h" value={form.rolling} error={wrong["window.rolling"]} onChange={(event) => set({ rolling: event.currentTarget.value })} w={90} />
        )}
        {hasWindow && (
          <Select
            label="beginning in"
            searchable
            allowDeselect={false}
            limit={50}
            data={[...new Set([form.timezone, "UTC", ...Intl.supportedValuesOf("timeZone")])]}
            value={form.timezone}
            error={wrong["timezone"]}
            onChange={(timezone) => timezone && set({ timezone })}
            w={180}
          />
        )}
      </Group>
      <Group gap="sm" align="start">
        <MultiSelect label="Each has it for itself" placeholder={form.each.length ? "" : "user"} data={eachOptions(form)} value={form.each} error={wrong["each"]} onChange={(each) => set({ each })} miw={200} />
        <Pairs label="Only calls with" placeholder="feature=chat" value={form.where} error={wrong["scope"]} set={(where) => set({ where })} />
        <Choice label="Kind" options={{ hard: "hard: never overspent", soft: "soft: only tells" }} value={form.mode} set={(mode) => set(withMode(form, mode))} width={220} />
        <Choice label="When it is used up" options={ACTIONS} value={form.action} set={(action) => set({ action })} width={220} error={wrong["action"]} />
        {(form.action === "downgrade" || form.action === "throttle") && (
          <TextInput
            label={form.action === "downgrade" ? "Model" : "Rate"}
            placeholder={form.action === "downgrade" ? "gpt-4o-mini" : "10/minute"}
            value={form.actionTarget}
            error={wrong["action.throttle"]}
            onChange={(event) => set({ actionTarget: event.currentTarget.value })}
            w={140}
          />
        )}
      </Group>
      <Group gap="sm" align="start">
        <TagsInput label="Tell at percent" value={form.warnAt} error={wrong["warn_at"]} onChange={(warnAt) => set({ warnAt })} miw={160} />
        {form.each.length > 0 && <Pairs label="Other amounts" placeholder="user_7=500" value={form.overrides} error={wrong["overrides"]} set={(overrides) => set({ overrides })} />}
        <Raises form={form} set={set} error={wrong["raises"]} timezone={timezone} />
      </Group>
    </>
  );
}

/** Also what the definition names and the list does not: tags. */
function eachOptions({ each }: LimitForm): string[] {
  return [...new Set([...ATTRIBUTES, ...each])];
}

/** More for a while. */
function Raises({ form, set, error, timezone }: Pick<FieldsProps, "form" | "set"> & { error?: string; timezone: string }) {
  const [by, setBy] = useState("");
  const [until, setUntil] = useState("");
  const raise = () => {
    set({ raises: [...form.raises, { by: by.trim(), until: new Date(instantOf(until, timezone) * 1000).toISOString() }] });
    setBy("");
    setUntil("");
  };
  return (
    <Stack gap={4}>
      <Group gap="xs" align="end">
        <TextInput label="Raise by" inputMode="decimal" value={by} error={error} onChange={(event) => setBy(event.currentTarget.value)} w={90} />
        <TextInput label="until" title={`In ${timezone}`} type="datetime-local" value={until} onChange={(event) => setUntil(event.currentTarget.value)} w={210} />
        <Button variant="default" onClick={raise} disabled={!by.trim() || !until}>
          Raise
        </Button>
      </Group>
      {form.raises.map((one, index) => (
        <Group key={`${one.until} ${one.by}`} gap="xs">
          <Text size="sm">
            {String(one.by)} more until {dateTime(one.until, timezone)}
            {one.for && ` for ${one.for}`}
          </Text>
          <Button size="compact-xs" variant="default" onClick={() => set({ raises: form.raises.filter((_, other) => other !== index) })}>
            Not any more
          </Button>
        </Group>
      ))}
    </Stack>
  );
}

function Try({ pick, busy }: { pick: (since: string) => void; busy: boolean }) {
  const [since, setSince] = useState<keyof typeof SINCE>("7d");
  return (
    <Button.Group>
      <Button variant="default" loading={busy} onClick={() => pick(since)}>
        What would it have refused?
      </Button>
      <Select
        aria-label="In which time"
        allowDeselect={false}
        data={Object.entries(SINCE).map(([value, label]) => ({ value, label }))}
        value={since}
        onChange={(chosen) => chosen && setSince(chosen as keyof typeof SINCE)}
        w={115}
      />
    </Button.Group>
  );
}

interface SimulatedProps {
  told: Simulation;
  since: string;
  view: View;
  change: ChangeView;
}

function Simulated({ told, since, view, change }: SimulatedProps) {
  return (
    <section aria-label="What it would have done" role="status">
      <Text mt="sm" fw={600} data-testid="would-refuse">
        In the last {SINCE[since as keyof typeof SINCE]} it would have refused {count(told.refused_calls)} of {count(told.concerned_calls)} calls ({money(told.refused_cost_usd)}).
      </Text>
      {told.left_out && <Text className="warn">There were more calls; only the newest {count(told.replayed_calls)} were replayed.</Text>}
      <ul className="text">
        {told.refused_by_value.slice(0, MOST_LISTED).map((one) => (
          <li key={one.value}>
            {one.value || "everybody"}: {count(one.calls)} refused, {money(one.cost_usd)}, first at {dateTime(one.first_at, view.timezone)}
          </li>
        ))}
      </ul>
      {told.first_refusals[0] && (
        <PageLink className="link" view={view} change={change} to={{ page: "calls", call: told.first_refusals[0].event_id }}>
          The first call that it would have refused
        </PageLink>
      )}
    </section>
  );
}

function History({ name, view, pick }: { name: string; view: View; pick: (version: LimitVersion) => void }) {
  const query = useQuery({ queryKey: ["limit history", name], queryFn: () => limitHistory(name) });
  if (!query.data || query.data.length < 2) return null;
  return (
    <details className="entries">
      <summary>{count(query.data.length)} versions</summary>
      {query.data.map((one) => (
        <Group key={one.version} gap="xs">
          <Text size="sm">
            {one.version}: {dateTime(one.changed_at, view.timezone)} by {one.changed_by}
            {one.definition === null && ", removed"}
          </Text>
          {one.definition && (
            <Button size="compact-xs" variant="default" onClick={() => pick(one)}>
              As it was then
            </Button>
          )}
        </Group>
      ))}
    </details>
  );
}
