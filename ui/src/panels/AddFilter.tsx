/** Narrowing the page to a value of any dimension. */

import { Button, Popover, SegmentedControl, Select, Stack, TagsInput } from "@mantine/core";
import { IconFilterPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { ask } from "../api/client";
import { rowValue } from "../shape/series";
import { type Dimension, filtered, isDimension, wanted } from "../view/names";
import { periodOf } from "../view/range";
import { type ChangeView, type View } from "../view/state";
import { useDimensions } from "./useDimensions";

const MOST_VALUES = 100;

interface Props {
  view: View;
  change: ChangeView;
}

export function AddFilter({ view, change }: Props) {
  const [opened, setOpened] = useState(false);
  return (
    <Popover opened={opened} onChange={setOpened} trapFocus position="bottom-end" shadow="md" withinPortal>
      <Popover.Target>
        <Button size="xs" variant="default" leftSection={<IconFilterPlus size={14} />} onClick={() => setOpened((before) => !before)}>
          Filter
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Add a filter">
        <Form view={view} change={change} done={() => setOpened(false)} />
      </Popover.Dropdown>
    </Popover>
  );
}

function Form({ view, change, done }: Props & { done: () => void }) {
  const [dimension, setDimension] = useState<Dimension>(view.by);
  const [chosen, setChosen] = useState<string[]>([]);
  const [isNot, setNot] = useState(false);
  const values = useQuery({ queryKey: ["values", dimension, view.range, view.timezone], queryFn: () => largest(dimension, view) });
  const options = useDimensions([dimension], true);
  const add = (event: FormEvent) => {
    event.preventDefault();
    const value = wanted(chosen, isNot);
    if (!value) return;
    change({ filters: filtered(view.filters, dimension, value) });
    done();
  };
  return (
    <form onSubmit={add}>
      <Stack gap="xs" w={260}>
        <Select
          label="Only where"
          size="xs"
          searchable
          allowDeselect={false}
          comboboxProps={{ withinPortal: false }}
          data={options}
          value={dimension}
          onChange={(picked) => {
            if (!picked || !isDimension(picked)) return;
            setDimension(picked);
            setChosen([]);
          }}
        />
        <SegmentedControl
          size="xs"
          fullWidth
          aria-label="Is it, or is it not"
          data={["is", "is not"]}
          value={isNot ? "is not" : "is"}
          onChange={(said) => setNot(said === "is not")}
        />
        <TagsInput
          label={isNot ? "any of" : "one of"}
          size="xs"
          limit={20}
          acceptValueOnBlur
          comboboxProps={{ withinPortal: false }}
          data={values.data ?? []}
          value={chosen}
          onChange={setChosen}
        />
        <Button size="xs" type="submit" disabled={!chosen.length}>
          Add the filter
        </Button>
      </Stack>
    </form>
  );
}

/** The values with most calls in the range. */
async function largest(dimension: Dimension, { range, timezone }: View): Promise<string[]> {
  const { rows } = await ask({ measures: ["calls"], group_by: [dimension], ...periodOf(range, timezone, new Date()), timezone, order_by: "-calls", limit: MOST_VALUES });
  return rows.map((row) => rowValue(row, dimension)).filter((value) => value !== null);
}
