import { ActionIcon, Badge, Container, Group, SegmentedControl, Select, SimpleGrid, Stack, Text, Title, Tooltip, useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { IconMoon, IconSun } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";

import { ApiError, lastCalls } from "./api/client";
import { LastCalls } from "./panels/LastCalls";
import { SpendChart } from "./panels/SpendChart";
import { Tiles } from "./panels/Tiles";
import { TopTable } from "./panels/TopTable";
import { SignIn } from "./SignIn";
import { type LiveState, useLive } from "./useLive";
import { DIMENSIONS, type Dimension, type RangeName, RANGES, type View } from "./view/state";
import { useView } from "./view/useView";

export function App() {
  const access = useQuery({ queryKey: ["access"], queryFn: () => lastCalls(1), retry: false, staleTime: Infinity });
  if (access.error instanceof ApiError && [401, 403].includes(access.error.status)) return <SignIn />;
  if (access.isPending) return null;
  return <Overview />;
}

function Overview() {
  const [view, change] = useView();
  const live = useLive();
  return (
    <Container size={1400} py="md">
      <Stack gap="md">
        <Header view={view} change={change} live={live} />
        <main>
          <Stack gap="md">
            <Tiles view={view} />
            <SpendChart view={view} />
            <SimpleGrid cols={{ base: 1, md: 3 }} spacing="md">
              <TopTable title="Top users" dimension="user_id" view={view} />
              <TopTable title="Top features" dimension="feature" view={view} />
              <TopTable title="Top models" dimension="model" view={view} />
            </SimpleGrid>
            <LastCalls view={view} />
          </Stack>
        </main>
      </Stack>
    </Container>
  );
}

interface HeaderProps {
  view: View;
  change: (change: Partial<View>) => void;
  live: LiveState;
}

function Header({ view, change, live }: HeaderProps) {
  return (
    <Group component="header" justify="space-between" gap="sm">
      <Group gap="sm">
        <img src="/favicon.svg" width={28} height={28} alt="" />
        <Title order={1} size="h3">
          taximeter
        </Title>
        <LiveBadge live={live} />
      </Group>
      <Group gap="xs">
        <Select
          aria-label="Group the chart by"
          size="xs"
          w={150}
          allowDeselect={false}
          data={Object.entries(DIMENSIONS).map(([value, label]) => ({ value, label: `by ${label.toLowerCase()}` }))}
          value={view.by}
          onChange={(by) => by && change({ by: by as Dimension })}
        />
        <SegmentedControl
          aria-label="Time range"
          size="xs"
          data={Object.entries(RANGES).map(([value]) => ({ value, label: value }))}
          value={view.range}
          onChange={(range) => change({ range: range as RangeName })}
        />
        <Tooltip label={`Days begin at midnight in ${view.timezone}`}>
          <Text size="xs" c="dimmed" visibleFrom="md">
            {view.timezone}
          </Text>
        </Tooltip>
        <SchemeSwitch />
      </Group>
    </Group>
  );
}

function LiveBadge({ live }: { live: LiveState }) {
  const looks = { connecting: ["gray", "connecting"], live: ["teal", "live"], lost: ["red", "connection lost"] } as const;
  const [color, label] = looks[live];
  return (
    <Badge variant="dot" color={color} size="md" role="status">
      {label}
    </Badge>
  );
}

function SchemeSwitch() {
  const scheme = useComputedColorScheme("light");
  const { setColorScheme } = useMantineColorScheme();
  const next = scheme === "dark" ? "light" : "dark";
  return (
    <ActionIcon variant="subtle" color="gray" aria-label={`Switch to ${next} colours`} onClick={() => setColorScheme(next)}>
      {scheme === "dark" ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}
