/** What is being spent, on whom. */

import { SimpleGrid, Stack } from "@mantine/core";
import { Suspense } from "react";

import { lazily } from "../lazily";
import { Coverage } from "../panels/Coverage";
import { LastCalls } from "../panels/LastCalls";
import { OpenedCall } from "../panels/OpenedCall";
import { SpendChart } from "../panels/SpendChart";
import { Tiles } from "../panels/Tiles";
import { TopTable } from "../panels/TopTable";
import type { PageProps } from "./registry";

// Below what is seen first: loaded once that stands, into places that are kept for them.
const MonthChart = lazily(() => import("../panels/MonthChart"));
const HeatMap = lazily(() => import("../panels/HeatMap"));
const PLACE = <section className="panel" style={{ minHeight: 338 }} aria-hidden />;

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
        <Suspense fallback={PLACE}>
          <MonthChart view={view} />
        </Suspense>
        <Suspense fallback={PLACE}>
          <HeatMap view={view} />
        </Suspense>
      </SimpleGrid>
      <LastCalls view={view} change={change} />
      <OpenedCall view={view} change={change} />
    </Stack>
  );
}
