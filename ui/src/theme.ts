import { createTheme } from "@mantine/core";

const HUES = ["#f0b000", "#2f7de1", "#12a579", "#d9468f", "#7a5bd6", "#ea6a1f"];
/** Of each hue, from -1 (black) over 0 (as it is) to 1 (white). */
const SHADES = [0, -0.4, 0.45, -0.6, 0.7, -0.2, 0.25, -0.5, 0.58];

/** Colours of groups in charts. They are told apart by lightness too, and their names stand beside them. */
export const SERIES_COLOURS = SHADES.flatMap((shade) => HUES.map((hue) => shaded(hue, shade)));
export const REST_COLOUR = "#98a2b3";
/** Groups of their own where nobody chooses how many. */
export const MOST_GROUPS = HUES.length;

function shaded(hue: string, shade: number): string {
  const towards = shade < 0 ? 0 : 255;
  const part = (at: number) => parseInt(hue.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) => Math.round(part(at) + (towards - part(at)) * Math.abs(shade)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

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
