import { Container, SimpleGrid, Stack } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";

import { ApiError, calls, whoAmI } from "./api/client";
import { FilterChips, Header } from "./Header";
import { useLive } from "./live/useLive";
import { CallSheet } from "./panels/CallSheet";
import { Coverage } from "./panels/Coverage";
import { LastCalls } from "./panels/LastCalls";
import { SpendChart } from "./panels/SpendChart";
import { Tiles } from "./panels/Tiles";
import { TopTable } from "./panels/TopTable";
import { SignIn } from "./SignIn";
import type { ChangeView, View } from "./view/state";
import { useView } from "./view/useView";
import { Welcome } from "./Welcome";

const LOOK_FOR_FIRST_CALL_MS = 1_000;

export function App() {
  const access = useQuery({ queryKey: ["access"], queryFn: whoAmI, retry: false, staleTime: Infinity });
  if (access.error instanceof ApiError && access.error.isRefusal) return <SignIn />;
  if (access.isPending) return null;
  return <Page />;
}

function Page() {
  const [view, change] = useView();
  const live = useLive();
  const isNew = useIsNew();
  return (
    <Container size={1440} py="md" px={{ base: "sm", sm: "md" }}>
      <Stack gap="md">
        <Header view={view} change={change} live={live} bare={isNew} />
        {!isNew && <FilterChips view={view} change={change} />}
        <main>{isNew ? <Welcome /> : <Overview view={view} change={change} />}</main>
      </Stack>
    </Container>
  );
}

/** Whether the installation has not seen a single call. */
function useIsNew(): boolean {
  const any = useQuery({
    queryKey: ["any call"],
    queryFn: () => calls({ limit: 1 }),
    refetchInterval: ({ state }) => (state.data?.events.length ? false : LOOK_FOR_FIRST_CALL_MS),
  });
  return any.data?.events.length === 0;
}

function Overview({ view, change }: { view: View; change: ChangeView }) {
  return (
    <Stack gap="md">
      <Tiles view={view} />
      <Coverage view={view} change={change} />
      <SpendChart view={view} change={change} />
      <SimpleGrid cols={{ base: 1, md: 2, lg: 3 }} spacing="md">
        <TopTable title="Top users" dimension="user_id" view={view} change={change} />
        <TopTable title="Top features" dimension="feature" view={view} change={change} />
        <TopTable title="Top models" dimension="model" view={view} change={change} />
      </SimpleGrid>
      <LastCalls view={view} change={change} />
      <CallSheet view={view} change={change} />
    </Stack>
  );
}
