/** The frame of every panel and its four states: loading, failed, empty, filled. */

import { Alert, Button, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ApiError } from "../api/client";

interface Props<T> {
  title: string;
  aside?: ReactNode;
  query: UseQueryResult<T>;
  isEmpty?: (data: T) => boolean;
  empty?: ReactNode;
  height?: number;
  children: (data: T) => ReactNode;
}

export function Panel<T>({ title, aside, query, isEmpty, empty, height = 160, children }: Props<T>) {
  return (
    <section className="panel" aria-label={title}>
      <Group justify="space-between" mb="sm" wrap="nowrap">
        <Title order={2} size="h5">
          {title}
        </Title>
        {aside}
      </Group>
      <Body query={query} isEmpty={isEmpty} empty={empty} height={height}>
        {children}
      </Body>
    </section>
  );
}

function Body<T>({ query, isEmpty, empty, height, children }: Omit<Props<T>, "title" | "aside">) {
  if (query.data !== undefined) {
    if (isEmpty?.(query.data)) return <Empty height={height}>{empty}</Empty>;
    return (
      <>
        {query.isError && <Failed error={query.error} retry={() => void query.refetch()} stale />}
        {children(query.data)}
      </>
    );
  }
  if (query.isError) return <Failed error={query.error} retry={() => void query.refetch()} />;
  return <Skeleton height={height} aria-label="loading" />;
}

function Empty({ height, children }: { height?: number; children: ReactNode }) {
  return (
    <Stack align="center" justify="center" mih={height} gap={4}>
      <Text c="dimmed" size="sm" ta="center" component="div">
        {children ?? "No calls in this range yet."}
      </Text>
    </Stack>
  );
}

function Failed({ error, retry, stale }: { error: Error; retry: () => void; stale?: boolean }) {
  const hint = error instanceof ApiError ? error.hint : "Is the server still running?";
  return (
    <Alert color="red" title={stale ? "Could not refresh" : "Could not load"} mb="sm">
      <Text size="sm">
        {error.message} {hint}
      </Text>
      <Button size="compact-xs" variant="light" color="red" mt={6} onClick={retry}>
        Try again
      </Button>
    </Alert>
  );
}
