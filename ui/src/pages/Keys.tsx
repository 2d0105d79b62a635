/** Keys: who may send calls, read numbers or administer. A key's secret is shown once, when it is made. */

import { Alert, Badge, Button, Code, CopyButton, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { askAgain } from "../api/again";
import { createKey, keys, revokeKey } from "../api/client";
import type { KeyInfo, KeyWish, NewKey } from "../api/types";
import { ago, dateTime } from "../format";
import { Panel, reasonOf } from "../panels/Panel";
import { TwoSteps } from "../panels/TwoSteps";
import { attributesOf } from "../shape/attributes";
import type { View } from "../view/state";
import type { PageProps } from "./registry";
import { WideTable } from "../panels/WideTable";

const SCOPES: Record<KeyWish["scope"], string> = {
  gateway: "gateway: makes calls through it",
  ingest: "ingest: sends events",
  read: "read: sees the numbers",
  admin: "admin: may everything",
};

export default function Keys({ view }: PageProps) {
  const queries = useQueryClient();
  const query = useQuery({ queryKey: ["keys"], queryFn: keys });
  const again = () => askAgain(queries, ["keys"]);
  return (
    <Stack gap="md">
      <MakeKey made={again} />
      <Panel title="Keys" query={query} isEmpty={(found) => found.length === 0} empty="There are no keys yet.">
        {(found) => <KeyTable found={newestFirst(found)} view={view} revoked={again} />}
      </Panel>
    </Stack>
  );
}

/** Those that work before those that were revoked. */
function newestFirst(found: KeyInfo[]): KeyInfo[] {
  return [...found].sort((a, b) => Number(!!a.revoked_at) - Number(!!b.revoked_at) || (a.created_at < b.created_at ? 1 : -1));
}

function MakeKey({ made }: { made: () => void }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState<KeyWish["scope"]>("gateway");
  const [attributes, setAttributes] = useState("");
  const [mistake, setMistake] = useState<string | null>(null);
  const make = useMutation({
    mutationFn: createKey,
    onSuccess: () => {
      setName("");
      setAttributes("");
      made();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const bound = attributesOf(attributes);
    setMistake(bound === null ? "Write them as team=core, environment=prod." : null);
    if (bound && name.trim()) make.mutate({ name: name.trim(), scope, attributes: bound });
  };
  return (
    <section className="panel" aria-label="Make a key">
      <form onSubmit={submit}>
        <Group gap="sm" align="start">
          <TextInput label="Name" placeholder="checkout service" required value={name} maxLength={200} onChange={(event) => setName(event.currentTarget.value)} w={220} />
          <Select
            label="Scope"
            allowDeselect={false}
            data={Object.entries(SCOPES).map(([value, label]) => ({ value, label }))}
            value={scope}
            onChange={(chosen) => chosen && setScope(chosen as KeyWish["scope"])}
            w={260}
          />
          <TextInput
            label="Bound attributes"
            placeholder="team=core, environment=prod"
            value={attributes}
            error={mistake}
            onChange={(event) => setAttributes(event.currentTarget.value)}
            w={260}
          />
          <Button type="submit" mt={25} loading={make.isPending} disabled={!name.trim()}>
            Make the key
          </Button>
        </Group>
      </form>
      {make.error && (
        <Text size="sm" className="bad" role="alert" mt="xs">
          {reasonOf(make.error)}
        </Text>
      )}
      {make.data && <Secret made={make.data} forget={() => make.reset()} />}
    </section>
  );
}

function Secret({ made, forget }: { made: NewKey; forget: () => void }) {
  return (
    <Alert color="yellow" variant="light" mt="md" title={`The key "${made.name}" is shown this once`} role="status">
      <Group gap="sm">
        <Code className="wrap-anywhere" fz="sm" data-testid="secret">
          {made.key}
        </Code>
        <CopyButton value={made.key}>
          {({ copied, copy }) => (
            <Button size="compact-sm" variant="default" onClick={copy}>
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
        <Button size="compact-sm" variant="default" onClick={forget}>
          I have it
        </Button>
      </Group>
    </Alert>
  );
}

function KeyTable({ found, view, revoked }: { found: KeyInfo[]; view: View; revoked: () => void }) {
  return (
    <WideTable minWidth={680}>
      <Table className="calls" fz="sm" verticalSpacing={6}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Scope</Table.Th>
            <Table.Th>Begins with</Table.Th>
            <Table.Th>Bound to its calls</Table.Th>
            <Table.Th>Made</Table.Th>
            <Table.Th>Last used</Table.Th>
            <Table.Td />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {found.map((one) => (
            <KeyRow key={one.id} one={one} view={view} revoked={revoked} />
          ))}
        </Table.Tbody>
      </Table>
    </WideTable>
  );
}

function KeyRow({ one, view, revoked }: { one: KeyInfo; view: View; revoked: () => void }) {
  const bound = Object.entries(one.attributes).map(([name, value]) => `${name}=${value}`);
  return (
    <Table.Tr className={one.revoked_at ? "dim" : undefined} data-key={one.id}>
      <Table.Td className="group-name">{one.name}</Table.Td>
      <Table.Td>{one.scope}</Table.Td>
      <Table.Td className="mono">{one.prefix}…</Table.Td>
      <Table.Td>
        {bound.join(", ") || "–"}
        {bound.length > 0 && !one.attributes_win && <span className="dim"> where left out</span>}
      </Table.Td>
      <Table.Td title={dateTime(one.created_at, view.timezone)}>{ago(one.created_at, new Date())}</Table.Td>
      <Table.Td title={one.last_used_at ? dateTime(one.last_used_at, view.timezone) : undefined}>
        {one.last_used_at ? ago(one.last_used_at, new Date()) : "never"}
      </Table.Td>
      <Table.Td ta="right">
        {one.revoked_at ? (
          <Badge variant="light" color="gray" c="var(--dim)" size="sm" title={dateTime(one.revoked_at, view.timezone)}>
            revoked
          </Badge>
        ) : (
          <Revoke one={one} revoked={revoked} />
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** What uses the key is refused from that moment on. */
function Revoke({ one, revoked }: { one: KeyInfo; revoked: () => void }) {
  const revoke = useMutation({ mutationFn: () => revokeKey(one.id), onSuccess: revoked });
  return <TwoSteps label="Revoke" name={one.name} act={revoke} />;
}
