/** A button for what cannot be taken back: it asks once more. */

import { Button, Group, Text } from "@mantine/core";
import type { UseMutationResult } from "@tanstack/react-query";
import { useState } from "react";

import { Deed } from "./Deed";
import { reasonOf } from "./Panel";

interface Props<T> {
  label: string;
  /** What it is done to. */
  name: string;
  act: UseMutationResult<T, Error, void>;
}

export function TwoSteps<T>({ label, name, act }: Props<T>) {
  const [isSure, setSure] = useState(false);
  if (!isSure)
    return (
      <Deed size="compact-xs" variant="default" aria-label={`${label} ${name}`} onClick={() => setSure(true)}>
        {label}
      </Deed>
    );
  return (
    <Group gap={4} justify="end" wrap="nowrap">
      <Button size="compact-xs" color="red.8" c="white" loading={act.isPending} aria-label={`${label} ${name} for good`} onClick={() => act.mutate()}>
        For good
      </Button>
      <Button size="compact-xs" variant="default" onClick={() => setSure(false)}>
        No
      </Button>
      {act.error && (
        <Text size="xs" className="bad" role="alert">
          {reasonOf(act.error)}
        </Text>
      )}
    </Group>
  );
}
