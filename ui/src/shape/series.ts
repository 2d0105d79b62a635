/** From rows of the API to what a stacked chart draws. Pure; the sums that people read come from the server. */

import type { Row } from "../api/types";

export interface Stack {
  /** Bucket starts, seconds since the epoch, ascending. */
  times: number[];
  /** One entry a group, largest first; `other` is what the named groups leave of the total. */
  groups: { name: string; values: number[] }[];
}

export const NOT_SET = "(not set)";
export const OTHER = "other";

export function groupName(value: Row[string]): string {
  return value === null || value === undefined || value === "" ? NOT_SET : String(value);
}

export function stack(totals: Row[], grouped: Row[], dimension: string, order: string[], measure: string): Stack {
  const times = [...new Set(totals.map(bucket))].sort((a, b) => a - b);
  const position = new Map(times.map((time, index) => [time, index]));
  const zeros = () => times.map(() => 0);
  const groups = new Map(order.map((name) => [name, zeros()]));
  const rest = zeros();
  for (const row of totals) rest[position.get(bucket(row))!]! += Number(row[measure] ?? 0);
  for (const row of grouped) {
    const at = position.get(bucket(row));
    const values = groups.get(groupName(row[dimension]));
    if (at === undefined || !values) continue;
    values[at]! += Number(row[measure] ?? 0);
    rest[at]! -= Number(row[measure] ?? 0);
  }
  const named = order.map((name) => ({ name, values: groups.get(name)! }));
  const largest = Math.max(...rest, 0);
  const whole = Math.max(...totals.map((row) => Number(row[measure] ?? 0)), 0);
  return { times, groups: largest > whole * 1e-9 ? [...named, { name: OTHER, values: rest.map((v) => Math.max(v, 0)) }] : named };
}

function bucket(row: Row): number {
  return Math.floor(Date.parse(String(row["time"])) / 1000);
}

/** Running sums from the last group to the first, so that the largest group lies at the bottom. */
export function cumulate(groups: Stack["groups"]): number[][] {
  const sums: number[][] = [];
  let below: number[] = [];
  for (const group of groups) {
    below = group.values.map((value, index) => value + (below[index] ?? 0));
    sums.push(below);
  }
  return sums;
}

/** Every bucket between first and last, so that quiet minutes are drawn as nothing rather than skipped over. */
export function filled(series: Stack, stepSeconds: number): Stack {
  const first = series.times[0];
  const last = series.times.at(-1);
  if (first === undefined || last === undefined || stepSeconds > 3600) return series;
  const known = new Map(series.times.map((time, index) => [time, index]));
  const times: number[] = [];
  for (let time = first; time <= last; time += stepSeconds) times.push(time);
  const values = (from: number[]) => times.map((time) => from[known.get(time) ?? -1] ?? 0);
  return { times, groups: series.groups.map((group) => ({ name: group.name, values: values(group.values) })) };
}
