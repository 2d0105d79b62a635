import { Container, Skeleton, Stack } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { Suspense, useEffect, useLayoutEffect, useState } from "react";

import { lazily } from "./lazily";
import { ApiError, calls, whoAmI } from "./api/client";
import { useAnswer } from "./api/useAnswer";
import { FilterChips, Header } from "./Header";
import { Navigation } from "./Navigation";
import { SampleBanner } from "./panels/SampleBanner";
import { PAGE_OF } from "./pages/registry";
import { SignIn } from "./SignIn"; // at hand from the beginning: nobody without a session gets a part of the page
import { isOverTime } from "./view/state";
import { useView } from "./view/useView";

const Palette = lazily(() => import("./panels/Palette"));
const Welcome = lazily(() => import("./Welcome"));

const LOOK_FOR_FIRST_CALL_MS = 1_000;

declare global {
  interface Window {
    /** Of the document: whether Ctrl-K was pressed before the page listened, which it does from now on. */
    commandsWanted: () => boolean;
  }
}

export function App() {
  useLayoutEffect(() => document.getElementById("shell")?.remove(), []); // in the frame that draws what it stood for
  const access = useAnswer({ queryKey: ["access"], queryFn: whoAmI, retry: false, staleTime: Infinity });
  if (access.error instanceof ApiError && access.error.isRefusal) return <SignIn />;
  return <Page />; // the document came to somebody who is signed in: nothing waits for who that is
}

function Page() {
  const [view, change] = useView();
  const isStill = useSameHistory(view.sample);
  const any = useAnyCall();
  const isNew = any.data?.events.length === 0;
  const [isCommanding, setCommanding] = useState(false);
  useHotkeys([["mod+K", () => setCommanding(true)]], []);
  useEffect(() => {
    if (window.commandsWanted()) setCommanding(true);
  }, []);
  const Shown = PAGE_OF[view.page];
  if (!isStill) return null;
  return (
    <Container size={1440} py="md" px={{ base: "sm", sm: "md" }}>
      <Stack gap="md">
        <Header view={view} change={change} bare={isNew} command={() => setCommanding(true)} />
        {view.sample && <SampleBanner isMade={any.isFetched} />}
        {!isNew && <Navigation view={view} change={change} />}
        {!isNew && isOverTime(view) && <FilterChips view={view} change={change} />}
        <main>
          <Suspense fallback={<Skeleton height={320} aria-hidden />}>{isNew ? <Welcome /> : <Shown view={view} change={change} />}</Suspense>
        </main>
        {isCommanding && (
          <Suspense>
            <Palette view={view} change={change} close={() => setCommanding(false)} />
          </Suspense>
        )}
      </Stack>
    </Container>
  );
}

/** Whether it is still the sample, or still one's own: a saved view may lead from one to the other. Answers of both never
 * meet, since the document is then loaded anew. */
function useSameHistory(sample: boolean): boolean {
  const [atFirst] = useState(sample);
  useLayoutEffect(() => {
    if (sample !== atFirst) window.location.reload();
  }, [sample, atFirst]);
  return sample === atFirst;
}

/** One call, if the installation has seen any; of the sample once that is made. */
function useAnyCall() {
  return useAnswer({
    queryKey: ["any call"],
    queryFn: () => calls({}, { limit: 1 }),
    refetchInterval: ({ state }) => (state.data?.events.length ? false : LOOK_FOR_FIRST_CALL_MS),
  });
}
