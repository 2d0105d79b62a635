/** From rows of the API to what a stacked chart draws. Pure. */

import type { Money, Row } from "../api/types";
import { sumKnown } from "../decimal";
import { NOT_SET } from "../view/names";

export interface Series {
  /** Bucket starts, seconds since the epoch, ascending. */
  times: number[];
  /** Largest first; what is left of the total comes last. */
  groups: Group[];
}

export interface Group {
  name: string;
  /** What to filter by to see only this group; null when that is not one value. */
  value: string | null;
  /** All groups behind the largest, together. */
  isRest: boolean;
  /** A bucket's amount: null when its calls are not priced, undefined when there were none. */
  amounts: (Money | null | undefined)[];
  total: Money | null;
}

export const REST = "all others";

export function groupName(value: Row[string] | undefined): string {
  return value === null || value === undefined || value === "" ? NOT_SET : String(value);
}

/** Of several dimensions, their values one after the other. */
export function rowName(row: Row, ...dimensions: string[]): string {
  return row["other"] ? REST : dimensions.map((dimension) => groupName(row[dimension])).join(" · ");
}

export function rowValue(row: Row, dimension: string): string | null {
  return row["other"] ? null : groupName(row[dimension]);
}

/** Rows of time and of dimensions as groups over all `buckets` (and any other bucket that a row names). */
export function series(rows: Row[], dimensions: string | string[], measure: string, buckets: number[]): Series {
  const by = [dimensions].flat();
  const times = [...new Set([...buckets, ...rows.map(bucketOf)])].sort((a, b) => a - b);
  const position = new Map(times.map((time, index) => [time, index]));
  const groups = new Map<string, Group>();
  for (const row of rows) {
    const key = rowKey(row, ...by);
    const group = groups.get(key) ?? newGroup(row, by, times.length);
    groups.set(key, group);
    group.amounts[position.get(bucketOf(row))!] = decimalText(row[measure]);
  }
  const summed = [...groups.values()].map((group) => ({ ...group, total: sumKnown(group.amounts) }));
  return { times, groups: summed.sort((a, b) => Number(a.isRest) - Number(b.isRest) || size(b) - size(a)) };
}

/** What tells a row from the others; a group that is called like the rest is not the rest. */
export function rowKey(row: Row, ...dimensions: string[]): string {
  return row["other"] ? "rest" : JSON.stringify(dimensions.map((dimension) => row[dimension] ?? null));
}

const SMALL_PLACES = 12;

/** A value of the API as an exact decimal, as far as it is one. */
export function decimalText(value: Row[string] | undefined): Money | null {
  if (value === null || value === undefined) return null;
  return typeof value === "number" && !Number.isInteger(value) ? value.toFixed(SMALL_PLACES) : String(value);
}

function newGroup(row: Row, by: string[], buckets: number): Group {
  const amounts = new Array<undefined>(buckets).fill(undefined);
  const value = by.length === 1 ? rowValue(row, by[0]!) : null;
  return { name: rowName(row, ...by), value, isRest: row["other"] === true, amounts, total: null };
}

/** For ranking only. */
function size(group: Group): number {
  return Number(group.total ?? -1);
}

export function bucketOf(row: Row): number {
  return Math.floor(Date.parse(String(row["time"])) / 1000);
}

/** Running sums from the first group up, as heights to draw: the largest group lies at the bottom. */
export function heights({ groups }: Series): number[][] {
  let below: number[] = [];
  return groups.map((group) => (below = group.amounts.map((amount, index) => Number(amount ?? 0) + (below[index] ?? 0))));
}

/** Each group's own height; nothing is drawn where nothing is known. */
export function levels({ groups }: Series): (number | null)[][] {
  return groups.map((group) => group.amounts.map((amount) => (amount == null ? null : Number(amount))));
}

/** What all groups of another time came to, bucket by bucket from its beginning. */
export function totalsByBucket(rows: Row[], measure: string, buckets: number[]): number[] {
  const totals = buckets.map(() => 0);
  for (const row of rows) {
    const bucket = bucketAt(buckets, bucketOf(row));
    if (bucket !== null) totals[bucket]! += Number(row[measure] ?? 0);
  }
  return totals;
}

/** The bucket that an instant lies in; null before the first. */
export function bucketAt(times: number[], at: number): number | null {
  const index = times.findLastIndex((time) => time <= at);
  return index < 0 ? null : index;
}

/** A colour's number for each name. Names keep theirs while they stay, so that bars do not swap colours. */
export function colourSlots(before: ReadonlyMap<string, number>, names: string[], slots: number): Map<string, number> {
  const kept = new Map(names.filter((name) => before.has(name)).map((name) => [name, before.get(name)!]));
  const taken = new Set(kept.values());
  const free = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !taken.has(slot));
  return new Map(names.map((name) => [name, kept.get(name) ?? free.shift() ?? 0]));
}
