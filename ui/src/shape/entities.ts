/** What concerns one user, team, feature or model. Pure. */

import type { Incident, Limit, LimitValue } from "../api/types";

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
