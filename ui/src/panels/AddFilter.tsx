/** Narrowing the page to a value of any dimension. */

import { Autocomplete, Button, Popover, Select, Stack } from "@mantine/core";
import { IconFilterPlus } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { ask } from "../api/client";
import { rowValue } from "../shape/series";
import { type Dimension, filtered, isDimension } from "../view/names";
import { type ChangeView, rangeStart, type View } from "../view/state";
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
  const [value, setValue] = useState("");
  const values = useQuery({ queryKey: ["values", dimension, view.range, view.timezone], queryFn: () => largest(dimension, view) });
  const options = useDimensions(dimension);
  const add = (event: FormEvent) => {
    event.preventDefault();
    if (!value.trim()) return;
    change({ filters: filtered(view.filters, dimension, value.trim()) });
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
          onChange={(chosen) => {
            if (!chosen || !isDimension(chosen)) return;
            setDimension(chosen);
            setValue("");
          }}
        />
        <Autocomplete label="is" size="xs" limit={20} comboboxProps={{ withinPortal: false }} data={values.data ?? []} value={value} onChange={setValue} />
        <Button size="xs" type="submit" disabled={!value.trim()}>
          Add the filter
        </Button>
      </Stack>
    </form>
  );
}

/** The values with most calls in the range. */
async function largest(dimension: Dimension, { range, timezone }: View): Promise<string[]> {
  const from = rangeStart(range, timezone, new Date());
  const { rows } = await ask({ measures: ["calls"], group_by: [dimension], from, timezone, order_by: "-calls", limit: MOST_VALUES });
  return rows.map((row) => rowValue(row, dimension)).filter((value) => value !== null);
}
