/** What is being spent, on whom. */

import { SimpleGrid, Stack } from "@mantine/core";

import { CallSheet } from "../panels/CallSheet";
import { Coverage } from "../panels/Coverage";
import { HeatMap } from "../panels/HeatMap";
import { LastCalls } from "../panels/LastCalls";
import { MonthChart } from "../panels/MonthChart";
import { SpendChart } from "../panels/SpendChart";
import { Tiles } from "../panels/Tiles";
import { TopTable } from "../panels/TopTable";
import type { PageProps } from "./registry";

export default function Overview({ view, change }: PageProps) {
  return (
    <Stack gap="md">
      <Tiles view={view} change={change} />
      <Coverage view={view} change={change} />
      <SpendChart view={view} change={change} />
      <SimpleGrid cols={{ base: 1, md: 2, lg: 3 }} spacing="md">
        <TopTable title="Top users" dimension="user_id" view={view} change={change} />
        <TopTable title="Top features" dimension="feature" view={view} change={change} />
        <TopTable title="Top models" dimension="model" view={view} change={change} />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <MonthChart view={view} />
        <HeatMap view={view} />
      </SimpleGrid>
      <LastCalls view={view} change={change} />
      <CallSheet view={view} change={change} />
    </Stack>
  );
}
