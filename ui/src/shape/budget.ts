/** How close the spenders are to their limits. Pure. */

import type { Limit, LimitValue } from "../api/types";
import { limitAmount } from "../format";

export interface Standing {
  limit: Limit;
  value: LimitValue;
}

/** The one with most of its amount spent; null when nobody has spent of any. */
export function fullest(limits: Limit[]): Standing | null {
  return all(limits).reduce<Standing | null>((most, one) => (most === null || one.value.percent > most.value.percent ? one : most), null);
}

/** How many of them have nothing left. */
export function usedUp(limits: Limit[]): number {
  return all(limits).filter(({ value }) => value.percent >= 100).length;
}

/** What may still be spent, as a number of its own: what is held is not left. */
export function left({ remaining }: Pick<LimitValue, "remaining">, measure: string): string {
  return Number(remaining) > 0 ? `${limitAmount(remaining, measure)} left` : "nothing left";
}

function all(limits: Limit[]): Standing[] {
  return limits.flatMap((limit) => (limit.values ?? []).map((value) => ({ limit, value })));
}
