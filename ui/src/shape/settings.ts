/** The settings of a server as they are read: found by a word, and in words. */

import type { Section, Setting } from "../api/types";

/** Sections with the settings whose name or meaning has the word in it; those without any are left out. */
export function sectionsWith(sections: Section[], word: string, onlySaid: boolean): Section[] {
  const sought = word.trim().toLowerCase();
  const fits = ({ name, about, origin }: Setting) =>
    (!onlySaid || origin.kind !== "default") && `${name} ${about}`.toLowerCase().includes(sought);
  return sections.map((section) => ({ ...section, settings: section.settings.filter(fits) })).filter(({ settings }) => settings.length > 0);
}

export function valueWords(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.length ? value.map(inner).join(", ") : "none";
  if (typeof value === "object") return Object.keys(value).length ? inner(value) : "none";
  return String(value);
}

/** `a: 1, b: 2`; what is deeper is in brackets. */
function inner(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const parts = Array.isArray(value) ? value.map(inner) : Object.entries(value).map(([name, one]) => `${name}: ${bracketed(one)}`);
  return parts.join(", ");
}

function bracketed(value: unknown): string {
  return typeof value === "object" && value !== null ? `{${inner(value)}}` : String(value);
}

/** `line 12 of the file`, `TAXIMETER_SERVER_PORT`, `--port`. */
export function originWords({ kind, at }: Setting["origin"]): string {
  if (kind === "file") return `line ${at} of the file`;
  return at ?? kind;
}
