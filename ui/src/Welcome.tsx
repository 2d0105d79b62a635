/** Shown while there are no calls at all: how to point a client here, with the real address, ready to copy. */

import { Alert, Button, Code, CopyButton, Group, List, Loader, Stack, Tabs, Text, Title } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";

import { createKey } from "./api/client";
import type { KeyWish } from "./api/types";
import { reasonOf } from "./panels/Panel";
import { SAMPLE_ADDRESS } from "./view/sample";
import { SNIPPETS, type SnippetName } from "./snippets";

export default function Welcome() {
  const [name, setName] = useState<SnippetName>("openai");
  const { scope } = SNIPPETS[name];
  const [keys, setKeys] = useState<Partial<Record<KeyWish["scope"], string>>>({});
  const making = useMutation({
    mutationFn: () => createKey({ name: "first client", scope }),
    onSuccess: (made) => setKeys((before) => ({ ...before, [scope]: made.key })),
  });
  const text = SNIPPETS[name].text(window.location.origin, keys[scope] ?? `tm_${scope}_...`);
  return (
    <section className="panel welcome" aria-label="First steps">
      <Stack gap="lg">
        <div>
          <Group gap="xs">
            <Title order={2} size="h3">
              Waiting for the first call
            </Title>
            <Loader size="xs" type="dots" aria-hidden />
          </Group>
          <Text c="dimmed" size="sm">
            Point a client at this address. Its first call shows up here by itself, within a second.
          </Text>
          <Group gap="xs" mt="sm">
            <Button component="a" href={SAMPLE_ADDRESS} size="compact-sm" variant="default">
              Look around in a sample
            </Button>
            <Text c="dimmed" size="sm">
              An invented month: every view of it, and when a rule would have fired. Nothing of it is kept.
            </Text>
          </Group>
        </div>
        <Tabs value={name} onChange={(value) => value && setName(value as SnippetName)} keepMounted={false}>
          <Tabs.List>
            {Object.entries(SNIPPETS).map(([value, { label }]) => (
              <Tabs.Tab key={value} value={value}>
                {label}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value={name} pt="sm">
            <div className="snippet">
              <Code block aria-label="Snippet">
                {text}
              </Code>
              <CopyButton value={text}>
                {({ copied, copy }) => (
                  <Button size="compact-xs" variant="default" onClick={copy}>
                    {copied ? "Copied" : "Copy"}
                  </Button>
                )}
              </CopyButton>
            </div>
          </Tabs.Panel>
        </Tabs>
        <List size="sm" spacing={8} type="ordered">
          <List.Item>
            {keys[scope] ? (
              <>The key in the snippet is new and shown this once. Keep it.</>
            ) : (
              <Group gap="xs" component="span">
                <span>The first start printed a key. Or</span>
                <Button size="compact-xs" onClick={() => making.mutate()} loading={making.isPending}>
                  make one now
                </Button>
              </Group>
            )}
          </List.Item>
          <List.Item>{SNIPPETS[name].note}</List.Item>
          <List.Item>
            No account at hand? <Code>taximeter up --demo</Code> runs sample traffic against providers on this machine.
          </List.Item>
        </List>
        {making.isError && (
          <Alert color="red" variant="light" title="No key was made" role="alert">
            {reasonOf(making.error)}
          </Alert>
        )}
      </Stack>
    </section>
  );
}
