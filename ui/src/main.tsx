import "@mantine/core/styles.css";
import "uplot/dist/uPlot.min.css";
import "./page.css";

import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { startTransition, StrictMode } from "react";

import { App } from "./App";
import { queries } from "./api/queries";
import { view } from "./asking";
import { createRoot } from "./drawing";
import { beginWith } from "./pages/registry";
import { theme } from "./theme";

beginWith(view.page);

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
