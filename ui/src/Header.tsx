/** What is being looked at, and how to change it. */

import { ActionIcon, Badge, Button, Group, SegmentedControl, Select, Title, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { IconCommand, IconMoon, IconSun, IconWorld, IconX } from "@tabler/icons-react";
import { useMemo } from "react";

import type { Live } from "./live/useLive";
import { clockTime } from "./format";
import { AddFilter } from "./panels/AddFilter";
import { RangePicker } from "./panels/RangePicker";
import { useDimensions } from "./panels/useDimensions";
import { type Dimension, filtered, filterNames, filterWords, nameInText, nameOf, wantedWords } from "./view/names";
import { isSpan, type RangeName, RANGES } from "./view/range";
import { type ChangeView, type View } from "./view/state";

interface Props {
  view: View;
  change: ChangeView;
  live: Live;
}

/** `bare` while there is nothing to look at. */
export function Header({ view, change, live, bare, command }: Props & { bare: boolean; command: () => void }) {
  return (
    <header className="header">
      <Group gap="sm" wrap="nowrap" className="header-name">
        <img src="/favicon.svg" width={28} height={28} alt="" />
        <Title order={1} size="h3">
          taximeter
        </Title>
        <LiveBadge live={live} timezone={view.timezone} />
      </Group>
      {!bare && <Controls view={view} change={change} />}
      {!bare && (
        <Tooltip label="Commands and saved views (Ctrl-K)" openDelay={400}>
          <ActionIcon className="scheme-switch" variant="subtle" color="gray" aria-label="Commands" aria-keyshortcuts="Control+K Meta+K" onClick={command}>
            <IconCommand size={18} />
          </ActionIcon>
        </Tooltip>
      )}
      <SchemeSwitch />
    </header>
  );
}

function Controls({ view, change }: Omit<Props, "live">) {
  return (
    <>
      <SegmentedControl
        aria-label="Time range"
        className="range"
        size="xs"
        data={Object.keys(RANGES)}
        value={isSpan(view.range) ? "" : view.range}
        onChange={(range) => change({ range: range as RangeName })}
      />
      <RangePicker view={view} change={change} />
      {(view.page === "overview" || view.of !== null) && <GroupSelect view={view} change={change} />}
      <ZoneSelect view={view} change={change} />
      <AddFilter view={view} change={change} />
    </>
  );
}

function GroupSelect({ view, change }: Omit<Props, "live">) {
  const options = useDimensions(view.by);
  return (
    <Select
      aria-label="Group the chart by"
      size="xs"
      w={158}
      searchable
      allowDeselect={false}
      data={options.map(({ group, items }) => ({ group, items: items.map(({ value }) => ({ value, label: `by ${nameInText(value)}` })) }))}
      value={view.by}
      onChange={(by) => by && change({ by: by as Dimension })}
    />
  );
}

function ZoneSelect({ view, change }: Omit<Props, "live">) {
  const zones = useMemo(() => [...new Set([view.timezone, "UTC", ...Intl.supportedValuesOf("timeZone")])], [view.timezone]);
  return (
    <Tooltip label={`Days begin at midnight in ${view.timezone}`} openDelay={400}>
      <Select
        aria-label="Time zone in which days begin"
        size="xs"
        w={178}
        searchable
        allowDeselect={false}
        limit={50}
        leftSection={<IconWorld size={14} />}
        data={zones}
        value={view.timezone}
        onChange={(timezone) => timezone && change({ timezone })}
      />
    </Tooltip>
  );
}

const LOOKS = { connecting: ["gray", "connecting"], live: ["teal", "live"], lost: ["red", "connection lost"] } as const;

function LiveBadge({ live, timezone }: { live: Live; timezone: string }) {
  const [color, label] = LOOKS[live.state];
  const heard = live.heardAt ? `Last heard from the server at ${clockTime(live.heardAt.toISOString(), timezone)}` : "Not heard yet";
  return (
    <Tooltip label={live.state === "lost" ? `${heard}. Trying again.` : heard}>
      <Badge variant="dot" color={color} size="md" role="status" className="uncut">
        {label}
      </Badge>
    </Tooltip>
  );
}

function SchemeSwitch() {
  const scheme = useComputedColorScheme("light");
  const { setColorScheme } = useMantineColorScheme();
  const next = scheme === "dark" ? "light" : "dark";
  return (
    <ActionIcon className="scheme-switch" variant="subtle" color="gray" aria-label={`Switch to ${next} colours`} onClick={() => setColorScheme(next)}>
      {scheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}

/** What the page is narrowed to; each can be taken away. */
export function FilterChips({ view, change }: Omit<Props, "live">) {
  const names = filterNames(view.filters);
  if (!names.length) return null;
  return (
    <Group component="section" gap="xs" aria-label="Filters">
      {names.map((name) => (
        <Button
          key={name}
          size="compact-sm"
          variant="light"
          className="chip"
          rightSection={<IconX size={13} />}
          aria-label={`Remove the filter ${filterWords(view.filters, name)}`}
          onClick={() => change({ filters: filtered(view.filters, name, null) })}
        >
          {nameOf(name)}:&nbsp;<strong>{wantedWords(view.filters[name]!)}</strong>
        </Button>
      ))}
      {names.length > 1 && (
        <Button size="compact-sm" variant="subtle" color="gray" onClick={() => change({ filters: {} })}>
          Clear all
        </Button>
      )}
    </Group>
  );
}
