/** The time that is looked at: one that ends now, or one between two instants. Pure. */

import { clockTime, dayAndMonth } from "../format";
import { bucketStarts, dateIn, firstOfMonth, floorTo, type Interval, isOfDays, shiftedDate, startOf, startOfDay } from "./zone";

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 24 * HOUR_SECONDS;

/** How a time is looked at. */
export interface Look {
  interval: Interval;
  /** The intervals it may be looked at in, so that no chart has thousands of bars. */
  intervals: readonly Interval[];
  /** How long it is; of days before today, whole ones are meant, today included. */
  seconds: number;
  /** How long its numbers may stay as they are while calls come in. */
  paceSeconds: number;
}

export const RANGES = {
  "1h": { label: "hour", interval: "minute", intervals: ["minute"], seconds: HOUR_SECONDS, paceSeconds: 1 },
  "6h": { label: "6 hours", interval: "minute", intervals: ["minute", "hour"], seconds: 6 * HOUR_SECONDS, paceSeconds: 1 },
  "24h": { label: "24 hours", interval: "hour", intervals: ["minute", "hour"], seconds: DAY_SECONDS, paceSeconds: 2 },
  "7d": { label: "7 days", interval: "hour", intervals: ["hour", "day"], seconds: 7 * DAY_SECONDS, paceSeconds: 10 },
  "30d": { label: "30 days", interval: "day", intervals: ["hour", "day", "week"], seconds: 30 * DAY_SECONDS, paceSeconds: 30 },
  "90d": { label: "90 days", interval: "day", intervals: ["day", "week", "month"], seconds: 90 * DAY_SECONDS, paceSeconds: 60 },
  "1y": { label: "year", interval: "month", intervals: ["day", "week", "month"], seconds: 365 * DAY_SECONDS, paceSeconds: 60 },
} as const satisfies Record<string, Look & { label: string }>;
export type RangeName = keyof typeof RANGES;

/** Two instants as ISO 8601 writes a time between them: `2026-11-26T23:00Z/2026-11-27T23:00Z`, the end not included. */
export type Span = `${string}/${string}`;
export type TimeRange = RangeName | Span;

/** A month of 31 days is looked at as 30 days are, a day of 25 hours as 24 hours. */
const ABOUT = 1.05;
const SPAN_PACE_SECONDS = 10;

export function isSpan(range: TimeRange): range is Span {
  return range.includes("/");
}

/** Whole minutes; seconds since the epoch. */
export function spanOf(from: number, to: number): Span {
  const text = (at: number) => `${new Date(at * 1000).toISOString().slice(0, 16)}Z`;
  return `${text(from)}/${text(to)}`;
}

/** Both ends, seconds since the epoch. */
export function endsOf(span: Span): [number, number] {
  const [from, to] = span.split("/").map((end) => Date.parse(end) / 1000);
  return [from!, to!];
}

/** A range as it stands in an address; null when it is none. */
export function rangeIn(text: string | null): TimeRange | null {
  if (text === null) return null;
  if (Object.hasOwn(RANGES, text)) return text as RangeName;
  const [from, to, ...more] = text.split("/").map((end) => Date.parse(end) / 1000);
  return from !== undefined && to !== undefined && !more.length && from < to ? spanOf(from, to) : null;
}

/** A span is looked at as the shortest of the ranges that is about as long. */
export function lookOf(range: TimeRange): Look {
  if (!isSpan(range)) return RANGES[range];
  const [from, to] = endsOf(range);
  const like = Object.values(RANGES).find(({ seconds }) => to - from <= seconds * ABOUT) ?? RANGES["1y"];
  return { ...like, seconds: to - from, paceSeconds: Math.max(SPAN_PACE_SECONDS, like.paceSeconds) };
}

/** Its bounds as the API takes them; what goes on until now has no end. The first bucket is a whole one. */
export function periodOf(range: TimeRange, timezone: string, now: Date): { from: string; to?: string } {
  if (isSpan(range)) {
    const [from, to] = endsOf(range).map((at) => new Date(at * 1000).toISOString());
    return { from: from!, to: to! };
  }
  const { interval, seconds } = RANGES[range];
  if (isOfDays(interval)) return { from: shiftedDate(dateIn(timezone, now), 1 - seconds / DAY_SECONDS) };
  return { from: new Date(floorTo(interval, now.getTime() / 1000 - seconds, timezone) * 1000).toISOString() };
}

/** The starts of its buckets, seconds since the epoch. */
export function bucketsOf(range: TimeRange, interval: Interval, timezone: string, now: Date): number[] {
  const { from, to } = periodOf(range, timezone, now);
  return bucketStarts(interval, startOf(from, timezone), to ? startOf(to, timezone) - 1 : now.getTime() / 1000, timezone);
}

/** `last 7 days`, `27 Nov`, `1 Nov – 30 Nov`, `27 Nov 09:00 – 12:00`. */
export function rangeWords(range: TimeRange, timezone: string): string {
  return isSpan(range) ? spanWords(range, timezone) : `last ${RANGES[range].label}`;
}

/** Within a sentence: `the last 7 days`, `27 Nov`. */
export function theRange(range: TimeRange, timezone: string): string {
  return isSpan(range) ? spanWords(range, timezone) : `the last ${RANGES[range].label}`;
}

function spanWords(span: Span, timezone: string): string {
  const [from, to] = endsOf(span);
  const day = (at: number) => dayAndMonth(new Date(at * 1000).toISOString(), timezone);
  const moment = (at: number) => `${day(at)} ${clockTime(new Date(at * 1000).toISOString(), timezone).slice(0, 5)}`;
  const isOfDates = [from, to].every((at) => startOfDay(dateIn(timezone, new Date(at * 1000)), timezone) === at);
  const [first, last] = isOfDates ? [day(from), day(to - 1)] : [moment(from), moment(to)];
  if (isOfDates && first === last) return first;
  return `${first} – ${!isOfDates && day(from) === day(to) ? last.slice(-5) : last}`;
}

export const CALENDAR = ["today", "yesterday", "this month", "last month"] as const;

/** A day or a month of the zone's calendar. */
export function calendarSpan(name: (typeof CALENDAR)[number], timezone: string, now: Date): Span {
  const today = dateIn(timezone, now);
  const month = firstOfMonth(today);
  const [from, to] = {
    today: [today, shiftedDate(today, 1)],
    yesterday: [shiftedDate(today, -1), today],
    "this month": [month, firstOfMonth(shiftedDate(month, 31))],
    "last month": [firstOfMonth(shiftedDate(month, -1)), month],
  }[name];
  return spanOf(startOfDay(from!, timezone), startOfDay(to!, timezone));
}
