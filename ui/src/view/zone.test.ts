import { Temporal } from "temporal-polyfill";
import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";

import { bucketStarts, clockAt, dateIn, endOfBucket, firstOfMonth, floorTo, instantOf, knownTimezone, shiftedDate, startOfDay } from "./zone";

const HOME = "Europe/Berlin";
const seconds = (iso: string) => Date.parse(iso) / 1000;
const iso = (at: number) => new Date(at * 1000).toISOString().slice(0, 16);

describe.each([
  ["Temporal", Temporal],
  ["Intl alone", undefined],
])("by %s", (_, known) => {
  beforeAll(() => vi.stubGlobal("Temporal", known));
  afterAll(() => vi.unstubAllGlobals());

  describe("dates in a zone", () => {
    it("takes the calendar of the zone, not of the machine", () => {
      const instant = new Date("2026-11-20T23:30:00Z");
      expect(dateIn("UTC", instant)).toBe("2026-11-20");
      expect(dateIn(HOME, instant)).toBe("2026-11-21");
    });
    it("knows the first of the month", () => expect(firstOfMonth("2026-11-21")).toBe("2026-11-01"));
    it("counts days across a month's end", () => expect(shiftedDate("2026-03-01", -1)).toBe("2026-02-28"));
    it("knows which zones there are", () => {
      expect(knownTimezone("Asia/Kolkata")).toBe("Asia/Kolkata");
      expect(knownTimezone("Mars/Olympus")).toBeNull();
    });
  });

  test.each([
    ["2026-11-20", "UTC", "2026-11-20T00:00"],
    ["2026-11-20", HOME, "2026-11-19T23:00"],
    ["2026-07-01", HOME, "2026-06-30T22:00"],
    ["2026-11-20", "America/New_York", "2026-11-20T05:00"],
    ["2026-11-20", "Asia/Kolkata", "2026-11-19T18:30"],
    ["2025-09-07", "America/Santiago", "2025-09-07T04:00"], // this day has no midnight
    ["2025-04-25", "Africa/Cairo", "2025-04-24T22:00"], // nor has this one
    ["2025-11-02", "America/Havana", "2025-11-02T04:00"], // this one has two
  ])("%s in %s begins at %s UTC", (date, zone, start) => expect(iso(startOfDay(date, zone))).toBe(start));

  test.each([
    ["minute", "2026-11-20T10:07:42Z", HOME, "2026-11-20T10:07"],
    ["hour", "2026-11-20T10:07:42Z", HOME, "2026-11-20T10:00"],
    ["hour", "2026-11-20T10:07:42Z", "Asia/Kolkata", "2026-11-20T09:30"],
  ] as const)("the %s of %s in %s", (interval, at, zone, start) => {
    expect(iso(floorTo(interval, seconds(at), zone))).toBe(start);
  });

  describe("buckets", () => {
    it("are all minutes until now", () => {
      const starts = bucketStarts("minute", seconds("2026-11-20T10:00Z"), seconds("2026-11-20T10:02:30Z"), HOME);
      expect(starts.map(iso)).toEqual(["2026-11-20T10:00", "2026-11-20T10:01", "2026-11-20T10:02"]);
    });
    it("are the zone's days, one of them an hour longer when the clock goes back", () => {
      const starts = bucketStarts("day", startOfDay("2026-10-24", HOME), seconds("2026-10-26T12:00Z"), HOME);
      expect(starts.map(iso)).toEqual(["2026-10-23T22:00", "2026-10-24T22:00", "2026-10-25T23:00"]);
      expect(endOfBucket("day", starts[1]!, HOME)).toBe(starts[2]);
    });
  });

  test.each([
    ["2026-11-20T09:30", HOME, "2026-11-20T08:30"],
    ["2026-07-01T09:30", HOME, "2026-07-01T07:30"],
    ["2026-11-20T09:30", "Asia/Kolkata", "2026-11-20T04:00"],
    ["2026-10-25T02:30", HOME, "2026-10-25T00:30"], // the first of two
    ["2026-03-29T02:30", HOME, "2026-03-29T01:30"], // skipped: an hour later by the new clock
    ["2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03T15:45"], // skipped: half an hour is
  ])("a clock shows %s in %s at %s", (clock, zone, utc) => {
    const at = instantOf(clock, zone);
    expect(iso(at)).toBe(utc);
    const isSkipped = clockAt(at, zone) !== clock;
    expect(isSkipped).toBe(clock.includes("-03-29") || clock.includes("-10-04"));
  });

  test("what is no time is not a number", () => expect(instantOf("", HOME)).toBeNaN());
});
