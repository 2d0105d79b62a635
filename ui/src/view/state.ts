/** What is being looked at lives in the URL, so that a view can be shared, reloaded and gone back to. */

import { MEASURES, type MeasureName } from "./measures";
import { choiceOf, type Dimension, type FilterName, filterNames, type Filters, isDimension, isFilter, wanted } from "./names";
import { isOfSample, markSample } from "./sample";
import { lookOf, rangeIn, type TimeRange } from "./range";
import { type Interval, knownTimezone } from "./zone";

/** The pages, by their names in the URL, in the order of the navigation. */
export const PAGES = {
  overview: "Overview",
  explore: "Explore",
  calls: "Calls",
  users: "Users",
  teams: "Teams",
  features: "Features",
  models: "Models",
  why: "Why",
  finance: "Finance",
  alerts: "Alerts",
  limits: "Limits",
  calculator: "Calculator",
  prices: "Prices",
  keys: "Keys",
  settings: "Settings",
  health: "Health",
} as const;
export type PageName = keyof typeof PAGES;

/** What is about the server and those who use it, which no sample has. */
const NOT_IN_SAMPLE: readonly PageName[] = ["keys", "settings", "health"];

export function pagesOf({ sample }: Pick<View, "sample">): PageName[] {
  const all = Object.keys(PAGES) as PageName[];
  return sample ? all.filter((page) => !NOT_IN_SAMPLE.includes(page)) : all;
}

/** Pages about what stands now, or with times of their own: neither the time range nor the filters change them. */
const NOT_OVER_TIME: readonly PageName[] = ["alerts", "limits", "keys", "settings"];

export function isOverTime({ page }: Pick<View, "page">): boolean {
  return !NOT_OVER_TIME.includes(page);
}

export const CHARTS = { stacked: "Stacked", lines: "Lines", bars: "Bars", table: "Table" } as const;
export type ChartName = keyof typeof CHARTS;

export const TOPS = [5, 10, 20, 50] as const;
const STANDARD_TOP = 10;
const STANDARD_RANGE = "1h";

export interface View {
  page: PageName;
  range: TimeRange;
  by: Dimension;
  /** Whether that was chosen; where it was not, a page may know better. */
  isGrouped: boolean;
  /** What each group is divided by once more. */
  then: Dimension | null;
  timezone: string;
  filters: Filters;
  measure: MeasureName;
  chart: ChartName;
  /** Null: what the range is looked at in unless told otherwise. */
  interval: Interval | null;
  /** Groups of their own; all others are one. */
  top: number;
  /** Whether the time before stands beside it. */
  compare: boolean;
  /** The user, team, feature or model whose page is looked at. */
  of: string | null;
  /** The call whose sheet is open, by its event id. */
  call: string | null;
  /** The incident that is looked at, by its id. */
  incident: string | null;
  /** Whether the sample history is looked at, and not one's own. */
  sample: boolean;
}

export type ChangeView = (change: Partial<View>) => void;

export function decodeView(search: string, defaultTimezone: string): View {
  const given = new URLSearchParams(search);
  const by = dimensionOr("feature", given.get("by"));
  const then = dimensionOr(null, given.get("then"));
  const interval = given.get("interval") as Interval | null;
  const range = rangeIn(given.get("range")) ?? STANDARD_RANGE;
  const top = Number(given.get("top"));
  const sample = isOfSample(search);
  const page = oneOf(PAGES, given.get("page"), "overview");
  return {
    page: pagesOf({ sample }).includes(page) ? page : "overview",
    range,
    by,
    isGrouped: isDimension(given.get("by") ?? ""),
    then: then === by ? null : then,
    timezone: knownTimezone(given.get("tz")) ?? defaultTimezone,
    filters: filtersIn(given),
    measure: oneOf(MEASURES, given.get("measure"), "cost_usd"),
    chart: oneOf(CHARTS, given.get("chart"), "stacked"),
    interval: interval && isOfRange(interval, range) ? interval : null,
    top: TOPS.find((known) => known === top) ?? STANDARD_TOP,
    compare: given.get("compare") === "1",
    of: given.get("of") || null,
    call: given.get("call") || null,
    incident: given.get("incident") || null,
    sample,
  };
}

const NOT = "!";

/** `feature=a&feature=b` is one of both, `feature!=a` anything else. Of both forms for one field, the last counts. */
function filtersIn(given: URLSearchParams): Filters {
  const filters: Filters = {};
  for (const name of new Set(given.keys())) {
    const not = name.endsWith(NOT);
    const field = not ? name.slice(0, -NOT.length) : name;
    const found = wanted(given.getAll(name).filter(Boolean), not);
    if (isFilter(field) && found) filters[field] = found;
  }
  return filters;
}

function writeFilter(out: URLSearchParams, filters: Filters, name: FilterName): void {
  const { values, not } = choiceOf(filters[name]!);
  for (const value of values) out.append(not ? name + NOT : name, value);
}

function dimensionOr<T>(standard: T, name: string | null): Dimension | T {
  return name !== null && isDimension(name) ? name : standard;
}

function oneOf<T extends string>(known: Record<T, unknown>, name: string | null, standard: T): T {
  return name !== null && Object.hasOwn(known, name) ? (name as T) : standard;
}

/** Only what differs from the default is written, so that links stay short. */
export function encodeView(view: View, defaultTimezone: string): string {
  const standard = decodeView("", defaultTimezone);
  const out = new URLSearchParams();
  if (view.page !== standard.page) out.set("page", view.page);
  if (view.range !== standard.range) out.set("range", view.range);
  if (view.isGrouped || view.by !== standard.by) out.set("by", view.by);
  if (view.then) out.set("then", view.then);
  if (view.timezone !== standard.timezone) out.set("tz", view.timezone);
  for (const name of filterNames(view.filters)) writeFilter(out, view.filters, name);
  if (view.measure !== standard.measure) out.set("measure", view.measure);
  if (view.chart !== standard.chart) out.set("chart", view.chart);
  if (view.interval) out.set("interval", view.interval);
  if (view.top !== standard.top) out.set("top", String(view.top));
  if (view.compare) out.set("compare", "1");
  if (view.of) out.set("of", view.of);
  if (view.call) out.set("call", view.call);
  if (view.incident) out.set("incident", view.incident);
  if (view.sample) markSample(out);
  const text = out.toString();
  return text ? `?${text}` : "";
}

/** What the range is looked at in. */
export function intervalOf({ range, interval }: Pick<View, "range" | "interval">): Interval {
  return interval && isOfRange(interval, range) ? interval : lookOf(range).interval;
}

/** What does not add up is not stacked. */
export function chartOf({ chart, measure }: Pick<View, "chart" | "measure">): ChartName {
  return chart === "stacked" && !MEASURES[measure].adds ? "lines" : chart;
}

function isOfRange(interval: Interval, range: TimeRange): boolean {
  return lookOf(range).intervals.includes(interval);
}
