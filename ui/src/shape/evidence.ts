/** Where the answers of a runbook's first steps can be looked at: the page and view behind each. */

import type { Incident } from "../api/types";
import { filtered, type Filters, isFilter } from "../view/names";
import type { RangeName } from "../view/range";
import type { View } from "../view/state";

/** By what the steps are called, see `alerts.evidence`. Deployments are shown with the incident. */
const VIEWS: Record<string, Partial<View>> = {
  "Who is behind it": { page: "why" },
  "Errors and retries": { page: "explore", by: "status", measure: "calls" },
  "Cache hit rate": { page: "explore", by: "prompt_version", measure: "cache_hit_rate", chart: "lines" },
  "Bot-like users": { page: "explore", by: "user_id", measure: "calls" },
  "Prompt versions": { page: "explore", by: "prompt_version", measure: "cost_usd" },
  "Service versions": { page: "explore", by: "service_version", measure: "cost_usd" },
  Models: { page: "explore", by: "model", measure: "cost_usd" },
  "Context size": { page: "explore", by: "prompt_version", measure: "input_tokens_per_call", chart: "lines" },
  "Without a price": { page: "prices" },
};

const HOUR_MS = 3_600_000;
const REACHES: [number, RangeName][] = [
  [5, "6h"],
  [22, "24h"],
  [6 * 24, "7d"],
  [29 * 24, "30d"],
];

/** The view behind a step's answer, over the incident's calls and a little before it; null where there is none. */
export function lookedAt(step: string, incident: Pick<Incident, "labels" | "opened_at">, now: Date): Partial<View> | null {
  const found = Object.hasOwn(VIEWS, step) ? VIEWS[step] : undefined;
  return found ? { ...found, incident: null, range: rangeOver(incident.opened_at, now), filters: filtersOf(incident.labels) } : null;
}

/** The shortest range that shows what was before it too. */
function rangeOver(openedAt: string, now: Date): RangeName {
  const hours = (now.getTime() - new Date(openedAt).getTime()) / HOUR_MS;
  return REACHES.find(([reach]) => hours <= reach)?.[1] ?? "90d";
}

/** The calls an incident is about, added to the filters that there are. */
export function filtersOf(labels: Record<string, string>, before: Filters = {}): Filters {
  return Object.entries(labels).reduce((filters, [name, value]) => (isFilter(name) ? filtered(filters, name, value) : filters), before);
}
