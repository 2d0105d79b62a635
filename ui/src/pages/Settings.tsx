/** What the server is set to, where each setting is from, and whether its channels work. Secrets are never told. */

import { Badge, Button, Checkbox, Group, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Fragment, useState } from "react";

import { channels, settings, status, tryChannel } from "../api/client";
import type { Channel, Section, Setting, SettingsAnswer } from "../api/types";
import { bytes, dateTime } from "../format";
import { Panel, reasonOf } from "../panels/Panel";
import { WideTable } from "../panels/WideTable";
import { originWords, sectionsWith, valueWords } from "../shape/settings";
import type { View } from "../view/state";
import type { PageProps } from "./registry";

export default function Settings({ view }: PageProps) {
  const query = useQuery({ queryKey: ["settings"], queryFn: settings, staleTime: Infinity });
  const tellers = useQuery({ queryKey: ["channels"], queryFn: channels });
  return (
    <Stack gap="md">
      <Panel title="Server" query={query} height={120}>
        {(told) => <Server told={told} view={view} />}
      </Panel>
      <Panel title="Channels" query={tellers} isEmpty={(found) => found.length === 0} empty="Nobody is told of alerts yet: docs/alerts.md." height={60}>
        {(found) => (
          <Stack gap={6}>
            {found.map((one) => (
              <Try key={one.name} channel={one} />
            ))}
          </Stack>
        )}
      </Panel>
      <Panel title="Settings" query={query} height={400}>
        {(told) => <Sections told={told} />}
      </Panel>
    </Stack>
  );
}

function Server({ told, view }: { told: SettingsAnswer; view: View }) {
  const state = useQuery({ queryKey: ["status"], queryFn: status });
  const notYet = state.isPending ? "…" : "–";
  const facts = {
    Version: `${told.version}, on Python ${told.python_version}`,
    Role: told.role,
    "Running since": dateTime(told.started_at, view.timezone),
    "Configuration file": told.config_file ?? "none",
    "Data directory": told.data_directory,
    "Size on disk": state.data ? bytes(state.data.storage_bytes) : notYet,
    Prices: state.data?.price_version ?? notYet,
  };
  return (
    <dl className="facts">
      {Object.entries(facts).map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Try({ channel }: { channel: Channel }) {
  const test = useMutation({ mutationFn: () => tryChannel(channel.name) });
  const outcome = test.data && (test.data.delivered ? "It was delivered." : `It was not delivered: ${test.data.error}`);
  return (
    <Group gap="xs">
      <Text size="sm" fw={600}>
        {channel.name}
      </Text>
      <Text size="sm" c="dimmed">
        {channel.kind}
      </Text>
      <Button size="compact-xs" variant="default" loading={test.isPending} aria-label={`Send a test to ${channel.name}`} onClick={() => test.mutate()}>
        Send a test
      </Button>
      <Text size="sm" role="status" className={test.error || test.data?.delivered === false ? "bad wrap-anywhere" : undefined}>
        {test.error ? reasonOf(test.error) : outcome}
      </Text>
    </Group>
  );
}

function Sections({ told }: { told: SettingsAnswer }) {
  const [word, setWord] = useState("");
  const [onlySaid, setOnlySaid] = useState(false);
  const found = sectionsWith(told.sections, word, onlySaid);
  return (
    <Stack gap="md">
      <Group gap="md" align="end">
        <TextInput label="Find" placeholder="retention" value={word} onChange={(event) => setWord(event.currentTarget.value)} w={260} />
        <Checkbox label="Only what differs from the default" checked={onlySaid} onChange={(event) => setOnlySaid(event.currentTarget.checked)} mb={8} />
      </Group>
      {found.length === 0 && <Text size="sm">No setting is called that.</Text>}
      {found.map((section) => (
        <One key={section.name} section={section} />
      ))}
    </Stack>
  );
}

function One({ section }: { section: Section }) {
  return (
    <section aria-label={`Settings of ${section.name}`}>
      <Text fw={600}>{section.name}</Text>
      <WideTable minWidth={520}>
        <Table className="calls" fz="sm" verticalSpacing={5}>
          <Table.Tbody>
            {section.settings.map((one) => (
              <Row key={one.name} setting={one} />
            ))}
          </Table.Tbody>
        </Table>
      </WideTable>
    </section>
  );
}

function Row({ setting }: { setting: Setting }) {
  const isDefault = setting.origin.kind === "default";
  return (
    <Table.Tr data-setting={setting.name}>
      <Table.Td w="34%" className="mono wrap-anywhere" title={setting.about}>
        <Breakable name={setting.name} />
      </Table.Td>
      <Table.Td className={isDefault ? "dim wrap-anywhere" : "wrap-anywhere"}>{valueWords(setting.value)}</Table.Td>
      <Table.Td w="26%" ta="right">
        {isDefault ? (
          <span className="dim">default</span>
        ) : (
          <Badge variant="light" color="gray" c="var(--dim)" tt="none" fw={500}>
            {originWords(setting.origin)}
          </Badge>
        )}
      </Table.Td>
    </Table.Tr>
  );
}

/** Where it is too long for its column, it goes on below after a dot or an underscore. */
function Breakable({ name }: { name: string }) {
  return name.split(/(?<=[._])/).map((part, index) => (
    <Fragment key={index}>
      {part}
      <wbr />
    </Fragment>
  ));
}
