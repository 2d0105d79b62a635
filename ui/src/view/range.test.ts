import { expect, test } from "vitest";

import { bucketsOf, calendarSpan, endsOf, lookOf, periodOf, rangeWords, type Span, spanOf } from "./range";
import { startOfDay } from "./zone";

const HOME = "Europe/Berlin";
const NOW = new Date("2026-11-20T23:30:45Z");
const days = (from: string, to: string, zone: string) => spanOf(startOfDay(from, zone), startOfDay(to, zone));

test.each([
  ["1h", HOME, "2026-11-20T22:30:00.000Z"],
  ["24h", HOME, "2026-11-19T23:00:00.000Z"],
  ["24h", "Asia/Kolkata", "2026-11-19T23:30:00.000Z"],
  ["30d", HOME, "2026-10-23"],
  ["30d", "UTC", "2026-10-22"],
] as const)("the last %s in %s begin with a whole bucket", (range, zone, start) => {
  expect(periodOf(range, zone, NOW)).toEqual({ from: start });
});

test("a span is asked for with both of its ends", () => {
  const span: Span = "2026-11-26T23:00Z/2026-11-27T23:00Z";
  expect(periodOf(span, HOME, NOW)).toEqual({ from: "2026-11-26T23:00:00.000Z", to: "2026-11-27T23:00:00.000Z" });
  expect(spanOf(...endsOf(span))).toBe(span);
});

test.each([
  ["2026-11-20T10:00Z/2026-11-20T10:01Z", "minute"],
  ["2026-11-20T10:00Z/2026-11-20T16:00Z", "minute"],
  [days("2026-10-25", "2026-10-26", HOME), "hour"], // 25 hours long
  [days("2026-11-01", "2026-11-08", HOME), "hour"],
  [days("2026-10-01", "2026-11-01", HOME), "day"], // 31 days and an hour
  [days("2026-01-01", "2027-01-01", HOME), "month"],
  [days("2016-01-01", "2026-01-01", HOME), "month"],
] as [Span, string][])("%s is looked at in steps of a %s", (span, interval) => expect(lookOf(span).interval).toBe(interval));

test.each([
  ["2026-10-25", "2026-10-26", HOME, 25],
  ["2026-03-29", "2026-03-30", HOME, 23],
  ["2026-11-01", "2026-11-02", "America/New_York", 25],
  ["2026-11-01", "2026-11-02", "Asia/Kolkata", 24],
])("%s until %s in %s has %i hours", (from, to, zone, hours) => {
  const span = days(from, to, zone);
  expect(bucketsOf(span, "hour", zone, NOW)).toHaveLength(hours);
  expect(bucketsOf(span, "day", zone, NOW)).toEqual([startOfDay(from, zone)]);
});

test.each([
  ["today", "21 Nov"],
  ["yesterday", "20 Nov"],
  ["this month", "1 Nov – 30 Nov"],
  ["last month", "1 Oct – 31 Oct"],
] as const)("%s is %s where it is half past midnight", (name, words) => {
  expect(rangeWords(calendarSpan(name, HOME, NOW), HOME)).toBe(words);
});

test.each([
  ["7d", "last 7 days"],
  ["2026-11-20T08:00Z/2026-11-20T09:30Z", "20 Nov 09:00 – 10:30"],
  ["2026-11-20T08:00Z/2026-11-21T09:30Z", "20 Nov 09:00 – 21 Nov 10:30"],
] as const)("%s is called %s", (range, words) => expect(rangeWords(range, HOME)).toBe(words));
