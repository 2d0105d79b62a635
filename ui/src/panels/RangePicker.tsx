/** From when to when: a day or month of the calendar, or any two moments of the chosen zone. */

import { Button, Group, Popover, Stack, Text, TextInput } from "@mantine/core";
import { IconCalendar } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";

import { CALENDAR, calendarSpan, isSpan, periodOf, rangeWords, spanOf, type TimeRange } from "../view/range";
import type { ChangeView, View } from "../view/state";
import { clockAt, instantOf, startOf } from "../view/zone";

interface Props {
  view: View;
  change: ChangeView;
}

export function RangePicker({ view, change }: Props) {
  const [opened, setOpened] = useState(false);
  const isChosen = isSpan(view.range);
  const show = (range: TimeRange) => {
    change({ range });
    setOpened(false);
  };
  return (
    <Popover opened={opened} onChange={setOpened} trapFocus position="bottom-start" shadow="md" withinPortal>
      <Popover.Target>
        <Button
          size="xs"
          variant="default"
          leftSection={<IconCalendar size={14} />}
          aria-label={isChosen ? `Dates: ${rangeWords(view.range, view.timezone)}` : undefined}
          onClick={() => setOpened((before) => !before)}
        >
          {isChosen ? rangeWords(view.range, view.timezone) : "Dates"}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="From when to when">
        <Form view={view} show={show} />
      </Popover.Dropdown>
    </Popover>
  );
}

function Form({ view: { range, timezone }, show }: { view: View; show: (range: TimeRange) => void }) {
  const [now] = useState(() => new Date());
  const { from: start, to: end } = periodOf(range, timezone, now);
  const [from, setFrom] = useState(clockAt(startOf(start, timezone), timezone));
  const [to, setTo] = useState(clockAt(end ? startOf(end, timezone) : now.getTime() / 1000, timezone));
  const [first, last] = [instantOf(from, timezone), instantOf(to, timezone)];
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (first < last) show(spanOf(first, last));
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="xs" w={300}>
        <Group gap={6} grow preventGrowOverflow={false}>
          {CALENDAR.map((name) => (
            <Button key={name} size="compact-xs" variant="default" onClick={() => show(calendarSpan(name, timezone, now))}>
              {name}
            </Button>
          ))}
        </Group>
        <TextInput label="From" type="datetime-local" size="xs" required withAsterisk={false} value={from} onChange={(event) => setFrom(event.currentTarget.value)} />
        <TextInput
          label="To"
          type="datetime-local"
          size="xs"
          required
          withAsterisk={false}
          value={to}
          error={first >= last && "It ends before it begins."}
          onChange={(event) => setTo(event.currentTarget.value)}
        />
        <Text size="xs" c="dimmed">
          As the clocks in {timezone} show it; the end is not included.
        </Text>
        <Button size="xs" type="submit" disabled={!(first < last)}>
          Show this time
        </Button>
      </Stack>
    </form>
  );
}
