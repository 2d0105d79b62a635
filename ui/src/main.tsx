import "@mantine/core/styles.css";
import "uplot/dist/uPlot.min.css";
import "./page.css";

import { MantineProvider } from "@mantine/core";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { startTransition, StrictMode } from "react";

import { App } from "./App";
import { ApiError } from "./api/client";
import { createRoot } from "./drawing";
import { theme } from "./theme";

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
