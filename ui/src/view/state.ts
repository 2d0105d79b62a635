/** What is being looked at lives in the URL, so that a view can be shared, reloaded and gone back to. */

export const RANGES = {
  "1h": { label: "1 hour", from: "1h", interval: "minute" },
  "6h": { label: "6 hours", from: "6h", interval: "minute" },
  "24h": { label: "24 hours", from: "24h", interval: "hour" },
  "7d": { label: "7 days", from: "7d", interval: "hour" },
  "30d": { label: "30 days", from: "30d", interval: "day" },
} as const;
export type RangeName = keyof typeof RANGES;

export const DIMENSIONS = {
  feature: "Feature",
  user_id: "User",
  model: "Model",
  team: "Team",
  tenant: "Tenant",
  environment: "Environment",
  provider: "Provider",
  prompt_version: "Prompt version",
} as const;
export type Dimension = keyof typeof DIMENSIONS;

export interface View {
  range: RangeName;
  by: Dimension;
  timezone: string;
}

export function browserTimezone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

export function decodeView(search: string, defaultTimezone: string): View {
  const given = new URLSearchParams(search);
  const range = given.get("range") ?? "";
  const by = given.get("by") ?? "";
  return {
    range: range in RANGES ? (range as RangeName) : "1h",
    by: by in DIMENSIONS ? (by as Dimension) : "feature",
    timezone: knownTimezone(given.get("tz")) ?? defaultTimezone,
  };
}

/** Only what differs from the default is written, so that links stay short. */
export function encodeView(view: View, defaultTimezone: string): string {
  const standard = decodeView("", defaultTimezone);
  const out = new URLSearchParams();
  if (view.range !== standard.range) out.set("range", view.range);
  if (view.by !== standard.by) out.set("by", view.by);
  if (view.timezone !== standard.timezone) out.set("tz", view.timezone);
  const text = out.toString();
  return text ? `?${text}` : "";
}

function knownTimezone(name: string | null): string | null {
  if (!name) return null;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    return null;
  }
}

/** The calendar date of an instant in a zone, `2026-11-20`. */
export function dateIn(timezone: string, instant: Date): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: timezone, dateStyle: "short" }).format(instant);
}

export function firstOfMonth(date: string): string {
  return `${date.slice(0, 8)}01`;
}
