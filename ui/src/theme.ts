import { createTheme } from "@mantine/core";

/** Colours of groups in charts, in the order of their size; the last is always "other". */
export const SERIES_COLOURS = ["#f5b800", "#3b82f6", "#10b981", "#ef5da8", "#8b5cf6", "#f97316", "#94a3b8"];

export const theme = createTheme({
  primaryColor: "yellow",
  primaryShade: { light: 7, dark: 5 },
  autoContrast: true,
  defaultRadius: "md",
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
});
