import "@mantine/core/styles.css";
import "uplot/dist/uPlot.min.css";
import "./page.css";

import { MantineProvider } from "@mantine/core";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { startTransition, StrictMode } from "react";

import { App } from "./App";
import { ApiError } from "./api/client";
import { createRoot } from "./drawing";
import { beginWith } from "./pages/registry";
import { theme } from "./theme";
import { decodeView } from "./view/state";
import { browserTimezone } from "./view/zone";

const STALE_MS = 500;

const queries: QueryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: STALE_MS,
      retry: (failures, error) => failures < 1 && !(error instanceof ApiError && error.status < 500),
    },
  },
  queryCache: new QueryCache({
    // A session that ended is noticed by whichever panel asks next.
    onError: (error, query) => {
      const isOther = query.queryKey[0] !== "access";
      if (isOther && error instanceof ApiError && error.isRefusal) void queries.invalidateQueries({ queryKey: ["access"] });
    },
  }),
});

const { search } = window.location;
// Which page it is does not depend on the zone, and to learn the browser's takes a while.
beginWith(decodeView(search, "UTC").page, queries, () => decodeView(search, browserTimezone()));

const root = createRoot(document.getElementById("root")!);

// Drawn in pieces, as everything that waits for nobody's click.
startTransition(() =>
  root.render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto">
        <QueryClientProvider client={queries}>
          <App />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  ),
);
