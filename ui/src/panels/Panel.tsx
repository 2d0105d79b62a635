/** The frame of every panel and its four states: loading, failed, empty, filled. */

import { Alert, Button, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { IconAlertCircle } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ApiError } from "../api/client";

interface Props<T> {
  title: string;
  aside?: ReactNode;
  /** What stays whatever the query says, such as what it asks. */
  above?: ReactNode;
  query: UseQueryResult<T>;
  isEmpty?: (data: T) => boolean;
  empty?: ReactNode;
  /** Pixels, or a length of CSS. */
  height?: number | string;
  /** Whether it is never less high than that, so that what stands below it stays where it is. */
  steady?: boolean;
  children: (data: T) => ReactNode;
}

export function Panel<T>({ title, aside, above, ...body }: Props<T>) {
  return (
    <section className="panel" aria-label={title} aria-busy={body.query.isPending}>
      <Group justify="space-between" mb="xs" gap="xs" wrap="nowrap" align="baseline" className="panel-head">
        <Title order={2} size="h5">
          {title}
        </Title>
        {aside}
      </Group>
      {above}
      <Body {...body} />
    </section>
  );
}

export function Body<T>({ query, isEmpty, empty, height = 160, steady, children }: Omit<Props<T>, "title" | "aside" | "above">) {
  const retry = () => void query.refetch();
  if (query.data === undefined) {
    if (query.isError) return <Failed error={query.error} retry={retry} busy={query.isFetching} />;
    return <Skeleton height={height} aria-hidden />;
  }
  return (
    <div className={query.isPlaceholderData ? "of-before" : undefined} style={steady ? { minHeight: height } : undefined}>
      {query.isError && <Failed error={query.error} retry={retry} busy={query.isFetching} stale />}
      {isEmpty?.(query.data) ? <Empty height={height}>{empty}</Empty> : children(query.data)}
    </div>
  );
}

function Empty({ height, children }: { height: number | string; children: ReactNode }) {
  return (
    <Stack align="center" justify="center" mih={height} gap="xs">
      <Text c="dimmed" size="sm" ta="center" component="div">
        {children ?? "No calls in this range."}
      </Text>
    </Stack>
  );
}

interface FailedProps {
  error: Error;
  retry: () => void;
  busy: boolean;
  stale?: boolean;
}

function Failed({ error, retry, busy, stale }: FailedProps) {
  return (
    <Alert
      className="failed"
      color="red"
      variant="transparent"
      icon={<IconAlertCircle />}
      title={stale ? "Could not refresh" : "Could not load"}
      role="alert"
    >
      <Text size="sm">{reasonOf(error)}</Text>
      <Button size="compact-sm" variant="default" mt="xs" onClick={retry} loading={busy}>
        Try again
      </Button>
    </Alert>
  );
}

/** What went wrong in words; what the network layer says itself is of no use to a reader. */
export function reasonOf(error: Error): string {
  if (error instanceof ApiError) return [sentence(error.message), error.hint && sentence(error.hint)].filter(Boolean).join(" ");
  return "The server does not answer. Is it still running?";
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
