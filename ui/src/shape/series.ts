/** From rows of the API to what a stacked chart draws. Pure. */

import type { Money, Row } from "../api/types";
import { sumKnown } from "../decimal";

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

export const NOT_SET = "(not set)";
export const REST = "all others";

export function groupName(value: Row[string] | undefined): string {
  return value === null || value === undefined || value === "" ? NOT_SET : String(value);
}

export function rowName(row: Row, dimension: string): string {
  return row["other"] ? REST : groupName(row[dimension]);
}

export function rowValue(row: Row, dimension: string): string | null {
  const name = rowName(row, dimension);
  return name === NOT_SET || row["other"] ? null : name;
}

/** Rows of one dimension and time as groups over all `buckets` (and any other bucket that a row names). */
export function series(rows: Row[], dimension: string, measure: string, buckets: number[]): Series {
  const times = [...new Set([...buckets, ...rows.map(bucketOf)])].sort((a, b) => a - b);
  const position = new Map(times.map((time, index) => [time, index]));
  const groups = new Map<string, Group>();
  for (const row of rows) {
    const group = groups.get(keyOf(row, dimension)) ?? newGroup(row, dimension, times.length);
    groups.set(keyOf(row, dimension), group);
    group.amounts[position.get(bucketOf(row))!] = row[measure] as Money | null;
  }
  const summed = [...groups.values()].map((group) => ({ ...group, total: sumKnown(group.amounts) }));
  return { times, groups: summed.sort((a, b) => Number(a.isRest) - Number(b.isRest) || size(b) - size(a)) };
}

function keyOf(row: Row, dimension: string): string {
  return `${row["other"] ? "rest" : "group"} ${groupName(row[dimension])}`;
}

function newGroup(row: Row, dimension: string, buckets: number): Group {
  const amounts = new Array<undefined>(buckets).fill(undefined);
  return { name: rowName(row, dimension), value: rowValue(row, dimension), isRest: row["other"] === true, amounts, total: null };
}

/** For ranking only. */
function size(group: Group): number {
  return Number(group.total ?? -1);
}

function bucketOf(row: Row): number {
  return Math.floor(Date.parse(String(row["time"])) / 1000);
}

/** Running sums from the first group up, as heights to draw: the largest group lies at the bottom. */
export function heights({ groups }: Series): number[][] {
  let below: number[] = [];
  return groups.map((group) => (below = group.amounts.map((amount, index) => Number(amount ?? 0) + (below[index] ?? 0))));
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
