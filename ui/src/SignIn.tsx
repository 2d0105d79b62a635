import { Center, Code, Paper, Stack, Text, Title } from "@mantine/core";

/** Shown without a session. There is no password: the link that `taximeter up` prints signs in. */
export function SignIn() {
  return (
    <Center mih="80vh" p="md">
      <Paper withBorder p="xl" radius="md" maw={520}>
        <Stack gap="sm">
          <Title order={1} size="h3">
            Sign in to taximeter
          </Title>
          <Text size="sm">
            Open the sign-in link that <Code>taximeter up</Code> printed when it started. Lost it? Print a new one:
          </Text>
          <Code block>taximeter keys signin</Code>
          <Text size="xs" c="dimmed">
            The link works once and this browser stays signed in.
          </Text>
        </Stack>
      </Paper>
    </Center>
  );
}
