/** Colours of groups in charts. They are told apart by lightness too, and their names stand beside them. */

const HUES = ["#f0b000", "#2f7de1", "#12a579", "#d9468f", "#7a5bd6", "#ea6a1f"];
/** Of each hue, from -1 (black) over 0 (as it is) to 1 (white). */
const SHADES = [0, -0.4, 0.45, -0.6, 0.7, -0.2, 0.25, -0.5, 0.58];

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
