/** What is being looked at, and how to change it. */

import { ActionIcon, Badge, Button, Group, Title, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { IconCommand, IconMoon, IconSun, IconX } from "@tabler/icons-react";
import { Suspense } from "react";

import { lazily } from "./lazily";
import { useLive } from "./live/useLive";
import { clockTime } from "./format";
import { filtered, filterNames, filterWords, nameOf, wantedWords } from "./view/names";
import { type ChangeView, type View } from "./view/state";

// Loaded after what they are about is asked for; their place is kept.
const Controls = lazily(() => import("./panels/Controls"));

interface Props {
  view: View;
  change: ChangeView;
}

/** `bare` while there is nothing to look at. */
export function Header({ view, change, bare, command }: Props & { bare: boolean; command: () => void }) {
  return (
    <header className="header">
      <Group gap="sm" wrap="nowrap" className="header-name">
        <img src="/favicon.svg" width={28} height={28} alt="" />
        <Title order={1} size="h3">
          taximeter
        </Title>
        {view.sample ? <SampleBadge /> : <LiveBadge timezone={view.timezone} />}
      </Group>
      {!bare && (
        <Suspense fallback={<div className="controls-place" />}>
          <Controls view={view} change={change} />
        </Suspense>
      )}
      {!bare && (
        <ActionIcon
          className="scheme-switch"
          variant="subtle"
          color="gray"
          title="Commands and saved views (Ctrl-K)"
          aria-label="Commands"
          aria-keyshortcuts="Control+K Meta+K"
          onClick={command}
        >
          <IconCommand size={18} />
        </ActionIcon>
      )}
      <SchemeSwitch />
    </header>
  );
}

const LOOKS = { connecting: ["gray", "connecting"], live: ["teal", "live"], lost: ["red", "connection lost"] } as const;

/** Invented calls do not come in. */
function SampleBadge() {
  return (
    <Badge variant="dot" color="yellow" size="md" className="uncut">
      sample
    </Badge>
  );
}

/** Nothing but this is drawn anew because the server was heard. */
function LiveBadge({ timezone }: { timezone: string }) {
  const live = useLive();
  const [color, label] = LOOKS[live.state];
  const heard = live.heardAt ? `Last heard from the server at ${clockTime(live.heardAt.toISOString(), timezone)}` : "Not heard yet";
  return (
    <Badge variant="dot" color={color} size="md" role="status" className="uncut" title={live.state === "lost" ? `${heard}. Trying again.` : heard}>
      {label}
    </Badge>
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
export function FilterChips({ view, change }: Props) {
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
