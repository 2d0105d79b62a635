/** What can be done about an incident from here: taken, silenced, its spending held; each can be undone. */

import { Badge, Button, Group, SegmentedControl, Select, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { askAgain } from "../api/again";
import { acknowledge, act, actions, endSilence, escalate, giveBack, silence, silences, undoAction } from "../api/client";
import type { Action, ActionWish, Incident } from "../api/types";
import { ago, dateTime } from "../format";
import { actionWords, isSilencing, silencing } from "../shape/actions";
import { filtersOf } from "../shape/evidence";
import type { ChangeView, View } from "../view/state";
import { Deed } from "./Deed";
import { Problem } from "./fields";

const HOURS = { "1": "an hour", "4": "4 hours", "24": "a day", "168": "a week" } as const;
const KINDS: Record<ActionWish["kind"], string> = { limit: "Hold to an amount", rate: "Hold to a rate", cheaper_model: "Cheaper model", pause: "Pause" };
const WINDOWS = ["hour", "day", "week", "month"];

interface Props {
  incident: Incident;
  view: View;
  change: ChangeView;
}

export function IncidentActions({ incident, view, change }: Props) {
  const queries = useQueryClient();
  const again = () => void askAgain(queries, ["incident", incident.incident_id]);
  const [isActing, setActing] = useState(false);
  const take = useMutation({ mutationFn: () => acknowledge(incident.incident_id), onSuccess: again });
  const leave = useMutation({ mutationFn: () => giveBack(incident.incident_id), onSuccess: again });
  const further = useMutation({ mutationFn: () => escalate(incident.incident_id), onSuccess: again });
  const see = () => change({ page: "overview", incident: null, filters: filtersOf(incident.labels, view.filters) });
  const isOver = !!incident.resolved_at;
  return (
    <Stack gap="xs" mt="xs">
      <Group gap="xs">
        {incident.acknowledged_by ? (
          <Deed size="xs" variant="default" onClick={() => leave.mutate()} loading={leave.isPending} disabled={isOver}>
            Give it back
          </Deed>
        ) : (
          <Deed size="xs" onClick={() => take.mutate()} loading={take.isPending} disabled={isOver}>
            Take it
          </Deed>
        )}
        <Silence incident={incident} view={view} />
        <Button size="xs" variant="default" onClick={() => setActing((before) => !before)} aria-expanded={isActing}>
          Act
        </Button>
        <Deed size="xs" variant="default" onClick={() => further.mutate()} loading={further.isPending} disabled={isOver}>
          Escalate
        </Deed>
        <Button size="xs" variant="default" onClick={see}>
          See the calls
        </Button>
      </Group>
      <Problem error={take.error ?? leave.error ?? further.error} />
      {isActing && <Act incident={incident} done={() => setActing(false)} />}
      <InForce incident={incident} view={view} />
    </Stack>
  );
}

/** Silences it, or ends the silence that it is under. */
function Silence({ incident, view }: Omit<Props, "change">) {
  const queries = useQueryClient();
  const again = () => void askAgain(queries, ["silences"]);
  const [hours, setHours] = useState<keyof typeof HOURS>("4");
  const known = useQuery({ queryKey: ["silences"], queryFn: silences });
  const match = silencing(incident);
  const hush = useMutation({ mutationFn: () => silence(match, Number(hours)), onSuccess: again });
  const end = useMutation({ mutationFn: endSilence, onSuccess: again });
  const under = known.data?.find((one) => isSilencing(one.match, { ...match, kind: incident.kind, severity: incident.severity, family: incident.family }));
  if (under)
    return (
      <>
        <Deed size="xs" variant="default" loading={end.isPending} onClick={() => end.mutate(under.silence_id)}>
          End the silence
        </Deed>
        <Text size="sm" c="dimmed">
          silent until {dateTime(under.to, view.timezone)}
        </Text>
        <Problem error={end.error} />
      </>
    );
  return (
    <>
      <Button.Group>
        <Deed size="xs" variant="default" loading={hush.isPending} onClick={() => hush.mutate()}>
          Silence for
        </Deed>
        <Select
          size="xs"
          aria-label="How long"
          allowDeselect={false}
          data={Object.entries(HOURS).map(([value, label]) => ({ value, label }))}
          value={hours}
          onChange={(chosen) => chosen && setHours(chosen as keyof typeof HOURS)}
          w={100}
        />
      </Button.Group>
      <Problem error={hush.error} />
    </>
  );
}

/** Nothing is done before it was shown what it would be. */
function Act({ incident, done }: { incident: Incident; done: () => void }) {
  const queries = useQueryClient();
  const [wish, setWish] = useState<ActionWish>({ kind: "limit", usd: "", window: "hour", model: "", confirm: false });
  const plan = useMutation({ mutationFn: () => act(incident.incident_id, told(wish)) });
  const set = (changed: Partial<ActionWish>) => {
    setWish((before) => ({ ...before, ...changed }));
    plan.reset();
  };
  const confirm = useMutation({
    mutationFn: () => act(incident.incident_id, { ...told(wish), confirm: true }),
    onSuccess: () => {
      void askAgain(queries, ["actions", incident.incident_id]);
      void askAgain(queries, ["incident", incident.incident_id]);
      done();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    plan.mutate();
  };
  return (
    <form onSubmit={submit} aria-label="Act">
      <Stack gap="xs">
        <SegmentedControl
          size="xs"
          w="fit-content"
          aria-label="What is done"
          data={Object.entries(KINDS).map(([value, label]) => ({ value, label }))}
          value={wish.kind}
          onChange={(kind) => set({ kind: kind as ActionWish["kind"] })}
        />
        <Group gap="sm" align="end">
          {wish.kind === "limit" && (
            <>
              <TextInput size="xs" label="US dollars" inputMode="decimal" value={wish.usd ?? ""} onChange={(event) => set({ usd: event.currentTarget.value })} w={110} />
              <Select size="xs" label="in each" allowDeselect={false} data={WINDOWS} value={wish.window} onChange={(window) => window && set({ window })} w={110} />
            </>
          )}
          {wish.kind === "rate" && (
            <TextInput size="xs" label="Calls a minute" inputMode="numeric" value={wish.calls ?? ""} onChange={(event) => set({ calls: counted(event.currentTarget.value) })} w={110} />
          )}
          {wish.kind === "cheaper_model" && (
            <TextInput size="xs" label="Model" placeholder="gpt-4o-mini" value={wish.model ?? ""} onChange={(event) => set({ model: event.currentTarget.value })} w={180} />
          )}
          <Deed size="xs" type="submit" variant="default" loading={plan.isPending}>
            Show what it would do
          </Deed>
        </Group>
        <Problem error={plan.error ?? confirm.error} />
        {plan.data && (
          <Group gap="sm" role="status">
            <Text size="sm">{actionWords(plan.data.definition)}</Text>
            <Deed size="xs" color="red.8" c="white" loading={confirm.isPending} onClick={() => confirm.mutate()}>
              Do it
            </Deed>
          </Group>
        )}
      </Stack>
    </form>
  );
}

/** A whole number of at least one, null of anything else. */
function counted(text: string): number | null {
  return /^[1-9]\d{0,8}$/.test(text.trim()) ? Number(text) : null;
}

function told({ kind, usd, window, model, calls }: ActionWish): ActionWish {
  return { kind, window, confirm: false, ...(kind === "rate" && { calls: calls ?? null }), ...(kind === "limit" && { usd: usd?.trim() || null }), ...(kind === "cheaper_model" && { model: model?.trim() || null }) };
}

function InForce({ incident, view }: Omit<Props, "change">) {
  const query = useQuery({ queryKey: ["actions", incident.incident_id], queryFn: () => actions(incident.incident_id) });
  return query.data?.map((one) => <Done key={one.name} one={one} incident={incident} view={view} />);
}

function Done({ one, incident, view }: { one: Action } & Omit<Props, "change">) {
  const queries = useQueryClient();
  const undo = useMutation({
    mutationFn: () => undoAction(incident.incident_id, one.name),
    onSuccess: () => {
      void askAgain(queries, ["actions", incident.incident_id]);
      void askAgain(queries, ["incident", incident.incident_id]);
    },
  });
  return (
    <Group gap="xs">
      <Badge size="sm" variant="light" color="red" c="var(--bad)">
        in force
      </Badge>
      <Text size="sm">{actionWords(one.definition)}</Text>
      <Text size="sm" c="dimmed" title={one.changed_at ? dateTime(one.changed_at, view.timezone) : undefined}>
        by {one.changed_by}
        {one.changed_at && `, ${ago(one.changed_at, new Date())}`}
      </Text>
      <Deed size="compact-xs" variant="default" loading={undo.isPending} onClick={() => undo.mutate()}>
        Undo
      </Deed>
      <Problem error={undo.error} />
    </Group>
  );
}
