/** What all rows of a panel came to, beside its title. */

import { Text } from "@mantine/core";
import type { ReactNode } from "react";

import type { Answer } from "../api/types";
import { exactly, measured } from "../format";

interface Props {
  answer: Answer | undefined;
  name: string;
  children: (calls: number) => ReactNode;
}

export function CostTotal({ answer, name, children }: Props) {
  if (!answer) return null;
  const { cost_usd: cost, calls } = answer.totals;
  return (
    <Text size="sm" c="dimmed" className="number uncut" component="div">
      <Text span inherit c="bright" fw={600} title={exactly("money", cost)} data-testid={name}>
        {measured("money", cost)}
      </Text>{" "}
      · {children(Number(calls))}
    </Text>
  );
}
