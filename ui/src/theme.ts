import { createTheme } from "@mantine/core";

/** Of the same hue as the grounds in shell.css. */
const DARK = ["#c9ced6", "#b3bac5", "#8a93a1", "#6b7482", "#3a414b", "#303640", "#262b33", "#1b1e24", "#15181d", "#101216"] as const;

export const theme = createTheme({
  colors: { dark: DARK },
  primaryColor: "yellow",
  primaryShade: { light: 7, dark: 5 },
  autoContrast: true,
  respectReducedMotion: true,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: "'Inter', 'Inter meanwhile', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
  headings: { fontWeight: "600" },
  components: {
    // What may be chosen is drawn when it is asked for: a page has a few lists, of which one has all zones of the world.
    Combobox: { defaultProps: { keepMounted: false } },
    // Places that wait stand still: drawn anew sixty times a second, they took a core from the answers they wait for.
    Skeleton: { defaultProps: { animate: false } },
  },
});
