/** What calls can be grouped by and narrowed to: fields of a call, and its free tags. */

export const DIMENSIONS = {
  feature: "Feature",
  user_id: "User",
  model: "Model",
  team: "Team",
  tenant: "Tenant",
  environment: "Environment",
  provider: "Provider",
  prompt_version: "Prompt version",
  model_family: "Model family",
  endpoint: "Endpoint",
  service: "Service",
  service_version: "Service version",
  operation: "Operation",
  status: "Status",
  error_type: "Error",
  source: "Source",
  service_tier: "Service tier",
  region: "Region",
  session_id: "Session",
  api_key_id: "Key",
  unpriced_reason: "Why unpriced",
} as const;

/** What can be narrowed to as well, and is too various to be grouped by. */
const SINGLE = { request_id: "Request", trace_id: "Trace" } as const;

const FIELDS: Record<string, string> = { ...DIMENSIONS, ...SINGLE };
const TAG = "tags.";

/** As the value of a filter: calls of which this is not known. */
export const NOT_SET = "(not set)";

export type Tag = `tags.${string}`;
export type Dimension = keyof typeof DIMENSIONS | Tag;
export type FilterName = Dimension | keyof typeof SINGLE;
/** One of these values; with `not`, none of them. */
export interface Choice {
  values: string[];
  not: boolean;
}
/** A value, or a choice that is not just one. */
export type Wanted = string | Choice;
export type Filters = Partial<Record<FilterName, Wanted>>;

export function tagNamed(name: string): Tag {
  return `${TAG}${name}`;
}

export function isDimension(name: string): name is Dimension {
  return Object.hasOwn(DIMENSIONS, name) || isTag(name);
}

export function isFilter(name: string): name is FilterName {
  return Object.hasOwn(FIELDS, name) || isTag(name);
}

function isTag(name: string): name is Tag {
  return name.startsWith(TAG) && name.length > TAG.length;
}

/** How a dimension is called; one that is not known, as it is. */
export function nameOf(dimension: string): string {
  if (isTag(dimension)) return `Tag ${dimension.slice(TAG.length)}`;
  return Object.hasOwn(FIELDS, dimension) ? FIELDS[dimension]! : dimension.replaceAll("_", " ");
}

/** In the middle of a sentence. The name of a tag is its own. */
export function nameInText(dimension: string): string {
  const name = nameOf(dimension);
  return name.charAt(0).toLowerCase() + (isTag(dimension) ? name.slice(1) : name.slice(1).toLowerCase());
}

/** The names of filters that are set, fields first in their order, then tags. */
export function filterNames(filters: Filters): FilterName[] {
  const order = Object.keys(FIELDS);
  const rank = (name: string) => (isTag(name) ? order.length : order.indexOf(name));
  const names = (Object.keys(filters) as FilterName[]).filter((name) => filters[name]);
  return names.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** The same filters with one of them set, or taken away by null. */
export function filtered(filters: Filters, name: FilterName, value: Wanted | null): Filters {
  const { [name]: _before, ...others } = filters;
  return (value === null ? others : { ...others, [name]: value }) as Filters;
}

/** A choice in its shortest form; null when it has no values. */
export function wanted(values: string[], not: boolean): Wanted | null {
  const distinct = [...new Set(values)];
  if (!distinct.length) return null;
  return distinct.length === 1 && !not ? distinct[0]! : { values: distinct, not };
}

export function choiceOf(given: Wanted): Choice {
  return typeof given === "string" ? { values: [given], not: false } : given;
}

/** The one value that a dimension is narrowed to; undefined when that is not one. */
export function onlyValue(filters: Filters, name: FilterName): string | undefined {
  const given = filters[name];
  return typeof given === "string" ? given : undefined;
}

/** `chat`, `chat or search`, `not chat`, `neither chat nor search`. */
export function wantedWords(given: Wanted): string {
  const { values, not } = choiceOf(given);
  if (!not) return values.join(" or ");
  return values.length === 1 ? `not ${values[0]}` : `neither ${values.join(" nor ")}`;
}

/** `Feature: chat or search`. */
export function filterWords(filters: Filters, name: FilterName): string {
  return `${nameOf(name)}: ${wantedWords(filters[name]!)}`;
}

/** Filters as the API takes them; what is not set is null there. */
export function forApi(filters: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(filters).map(([name, value]) => [name, isWanted(value) ? asked(value) : value]));
}

function isWanted(value: unknown): value is Wanted {
  return typeof value === "string" || (typeof value === "object" && value !== null && "values" in value);
}

function asked(given: Wanted): unknown {
  if (given === NOT_SET) return { missing: true };
  if (typeof given === "string") return given;
  return { [given.not ? "not" : "in"]: given.values.map((value) => (value === NOT_SET ? null : value)) };
}
