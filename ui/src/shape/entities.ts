/** What concerns one user, team, feature or model. Pure. */

import type { Answer, Incident, Limit, LimitValue } from "../api/types";
import type { Filters } from "../view/names";

/** The filters under which an answer has the groups of another one that have rows of their own, and no others. */
export function ofShown(filters: Filters, { rows }: Answer, dimension: string): Record<string, unknown> {
  const shown = rows.filter((row) => !row["other"]);
  return shown.length === rows.length ? filters : { ...filters, [dimension]: { in: shown.map((row) => row[dimension]) } };
}

/** Limits and labels name a user shortly. */
function names(dimension: string): string[] {
  return [dimension, dimension.replace(/_id$/, "")];
}

/** How the limits stand that are this one's own. */
export function standings(found: Limit[], dimension: string, of: string): { limit: Limit; value: LimitValue }[] {
  const isOwn = (value: LimitValue) => names(dimension).some((name) => value.scope[name] === of);
  return found.flatMap((limit) => (limit.values ?? []).filter(isOwn).map((value) => ({ limit, value })));
}

/** Incidents that are labelled with it. */
export function concerning(found: Incident[], dimension: string, of: string): Incident[] {
  return found.filter(({ labels }) => names(dimension).some((name) => labels[name] === of));
}
