import { createTheme } from "@mantine/core";

/** Colours of groups in charts. They are told apart by lightness too, and their names stand beside them. */
export const SERIES_COLOURS = ["#f0b000", "#2f7de1", "#12a579", "#d9468f", "#7a5bd6", "#ea6a1f"];
export const REST_COLOUR = "#98a2b3";
export const MOST_GROUPS = SERIES_COLOURS.length;

export const theme = createTheme({
  primaryColor: "yellow",
  primaryShade: { light: 7, dark: 5 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: "'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  headings: { fontWeight: "600" },
});
