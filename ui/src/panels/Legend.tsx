/** The groups of a chart: colour, name and what each came to. */

import { Group, UnstyledButton } from "@mantine/core";

import { exactly, shortly } from "../format";
import type { Group as OneGroup, Series } from "../shape/series";
import type { Kind } from "../view/measures";

interface Props {
  series: Series;
  colours: string[];
  /** Null: what the groups come to is not shown, because their buckets do not add up. */
  kind: Kind | null;
  /** What a click does; null where there is nothing to narrow to. */
  pick: (group: OneGroup) => (() => void) | null;
}

export function Legend({ series, colours, kind, pick }: Props) {
  return (
    <Group gap="4px 16px" mt="xs">
      {series.groups.map((group, index) => {
        const picked = pick(group);
        return (
          <UnstyledButton
            key={`${group.isRest} ${group.name}`}
            className="legend"
            disabled={picked === null}
            onClick={picked ?? undefined}
            title={picked === null ? undefined : `Show only ${group.name}`}
          >
            <span className="swatch" style={{ background: colours[index] }} />
            <span className="cut">{group.name}</span>
            {kind && (
              <span className="dim number" title={exactly(kind, group.total)}>
                {group.total === null && kind === "money" ? "not priced" : shortly(kind, group.total)}
              </span>
            )}
          </UnstyledButton>
        );
      })}
    </Group>
  );
}
