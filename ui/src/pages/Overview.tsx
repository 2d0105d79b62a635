/** What is being spent, on whom. */

import { SimpleGrid, Stack } from "@mantine/core";
import { useEffect } from "react";

import { lazily } from "../lazily";
import { BelowTheFold } from "../panels/WhenIdle";
import { Coverage } from "../panels/Coverage";
import { LastCalls } from "../panels/LastCalls";
import { OpenedCall } from "../panels/OpenedCall";
import { SpendChart } from "../panels/SpendChart";
import { Tiles } from "../panels/Tiles";
import { TopTable } from "../panels/TopTable";
import type { PageProps } from "./registry";

const MonthChart = lazily(() => import("../panels/MonthChart"));
const HeatMap = lazily(() => import("../panels/HeatMap"));

/** What the panels come to when they are filled. */
const [CHART_HEIGHT, CALLS_HEIGHT] = [344, 362];

export default function Overview({ view, change }: PageProps) {
  useEffect(() => {
    void MonthChart.load();
    void HeatMap.load();
  }, []);
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
        <BelowTheFold height={CHART_HEIGHT}>
          <MonthChart view={view} />
        </BelowTheFold>
        <BelowTheFold height={CHART_HEIGHT}>
          <HeatMap view={view} />
        </BelowTheFold>
      </SimpleGrid>
      <BelowTheFold height={CALLS_HEIGHT}>
        <LastCalls view={view} change={change} />
      </BelowTheFold>
      <OpenedCall view={view} change={change} />
    </Stack>
  );
}
