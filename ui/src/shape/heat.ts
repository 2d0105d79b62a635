/** When it is spent: hours of the week in a zone. Pure. */

import type { Money, Row } from "../api/types";
import { sumKnown } from "../decimal";
import { offsetSeconds } from "../view/zone";
import { decimalText } from "./series";

export const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
export const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

const HOUR_SECONDS = 3600;
const DAY_HOURS = HOURS.length;
/** The first of January 1970 was a Thursday. */
const EPOCH_WEEKDAY = 3;

export interface Heat {
  /** By weekday from Monday, by hour of the zone's clock: null when no call has a price, undefined when there were none. */
  cells: (Money | null | undefined)[][];
  /** Of each weekday. */
  sums: (Money | null)[];
  /** For shading only. */
  highest: number;
}

/** Rows of hours. The hour that a clock shows twice in autumn is one cell. */
export function heat(rows: Row[], measure: string, timezone: string): Heat {
  const found = WEEKDAYS.map(() => HOURS.map((): (Money | null)[] => []));
  for (const row of rows) {
    const [weekday, hour] = slotOf(Date.parse(String(row["time"])) / 1000, timezone);
    found[weekday]![hour]!.push(decimalText(row[measure]));
  }
  const cells = found.map((hours) => hours.map((amounts) => (amounts.length ? sumKnown(amounts) : undefined)));
  return { cells, sums: cells.map(sumKnown), highest: Math.max(0, ...cells.flat().map((amount) => Number(amount ?? 0))) };
}

function slotOf(at: number, timezone: string): [number, number] {
  const hours = Math.floor((at + offsetSeconds(timezone, at)) / HOUR_SECONDS);
  return [(Math.floor(hours / DAY_HOURS) + EPOCH_WEEKDAY) % WEEKDAYS.length, hours % DAY_HOURS];
}

/** `09:00 – 10:00`. */
export function hourWords(hour: number): string {
  const clock = (of: number) => `${String(of % DAY_HOURS).padStart(2, "0")}:00`;
  return `${clock(hour)} – ${clock(hour + 1)}`;
}
