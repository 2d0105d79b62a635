/** What is being looked at lives in the URL, so that a view can be shared, reloaded and gone back to. */

import { dateIn, floorTo, type Interval, knownTimezone, shiftedDate } from "./zone";

const HOUR_SECONDS = 3600;

interface Range {
  label: string;
  interval: Interval;
  /** How far back, in seconds; of days, whole ones are meant, today included. */
  seconds: number;
  /** How long its numbers may stay as they are while calls come in. */
  paceSeconds: number;
}

export const RANGES = {
  "1h": { label: "hour", interval: "minute", seconds: HOUR_SECONDS, paceSeconds: 1 },
  "6h": { label: "6 hours", interval: "minute", seconds: 6 * HOUR_SECONDS, paceSeconds: 1 },
  "24h": { label: "24 hours", interval: "hour", seconds: 24 * HOUR_SECONDS, paceSeconds: 2 },
  "7d": { label: "7 days", interval: "hour", seconds: 7 * 24 * HOUR_SECONDS, paceSeconds: 10 },
  "30d": { label: "30 days", interval: "day", seconds: 30 * 24 * HOUR_SECONDS, paceSeconds: 30 },
} as const satisfies Record<string, Range>;
export type RangeName = keyof typeof RANGES;

/** What the chart can be stacked by. */
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

/** What the page can be narrowed to. */
export const FILTERS = {
  ...DIMENSIONS,
  status: "Status",
  service: "Service",
  endpoint: "Endpoint",
  session_id: "Session",
  request_id: "Request",
  api_key_id: "Key",
} as const;
export type FilterName = keyof typeof FILTERS;
export type Filters = Partial<Record<FilterName, string>>;

/** The pages, by their names in the URL, in the order of the navigation. */
export const PAGES = {
  overview: "Overview",
  why: "Why",
  alerts: "Alerts",
  limits: "Limits",
  calculator: "Calculator",
} as const;
export type PageName = keyof typeof PAGES;

export interface View {
  page: PageName;
  range: RangeName;
  by: Dimension;
  timezone: string;
  filters: Filters;
  /** The call whose sheet is open, by its event id. */
  call: string | null;
  /** The incident that is looked at, by its id. */
  incident: string | null;
}

export type ChangeView = (change: Partial<View>) => void;

export function decodeView(search: string, defaultTimezone: string): View {
  const given = new URLSearchParams(search);
  const range = given.get("range") ?? "";
  const by = given.get("by") ?? "";
  const page = given.get("page") ?? "";
  const filters: Filters = {};
  for (const name of filterNames()) {
    const value = given.get(name);
    if (value) filters[name] = value;
  }
  return {
    page: Object.hasOwn(PAGES, page) ? (page as PageName) : "overview",
    range: Object.hasOwn(RANGES, range) ? (range as RangeName) : "1h",
    by: Object.hasOwn(DIMENSIONS, by) ? (by as Dimension) : "feature",
    timezone: knownTimezone(given.get("tz")) ?? defaultTimezone,
    filters,
    call: given.get("call") || null,
    incident: given.get("incident") || null,
  };
}

/** Only what differs from the default is written, so that links stay short. */
export function encodeView(view: View, defaultTimezone: string): string {
  const standard = decodeView("", defaultTimezone);
  const out = new URLSearchParams();
  if (view.page !== standard.page) out.set("page", view.page);
  if (view.range !== standard.range) out.set("range", view.range);
  if (view.by !== standard.by) out.set("by", view.by);
  if (view.timezone !== standard.timezone) out.set("tz", view.timezone);
  for (const name of filterNames()) if (view.filters[name]) out.set(name, view.filters[name]);
  if (view.call) out.set("call", view.call);
  if (view.incident) out.set("incident", view.incident);
  const text = out.toString();
  return text ? `?${text}` : "";
}

export function filterNames(): FilterName[] {
  return Object.keys(FILTERS) as FilterName[];
}

/** The same filters with one of them set, or taken away by null. */
export function filtered(filters: Filters, name: FilterName, value: string | null): Filters {
  const { [name]: _before, ...others } = filters;
  return value === null ? others : { ...others, [name]: value };
}

/** Where a range begins, so that its first bucket is a whole one; a moment as the API takes it. */
export function rangeStart(range: RangeName, timezone: string, now: Date): string {
  const { interval, seconds } = RANGES[range];
  if (interval === "day") return shiftedDate(dateIn(timezone, now), 1 - seconds / (24 * HOUR_SECONDS));
  return new Date(floorTo(interval, now.getTime() / 1000 - seconds, timezone) * 1000).toISOString();
}
