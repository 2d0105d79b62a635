import { describe, expect, it } from "vitest";

import { dateIn, decodeView, DIMENSIONS, encodeView, firstOfMonth, RANGES, type Dimension, type RangeName } from "./state";

const HOME = "Europe/Berlin";

describe("the view in the URL", () => {
  it("survives being written and read, whatever is looked at", () => {
    for (const range of Object.keys(RANGES) as RangeName[])
      for (const by of Object.keys(DIMENSIONS) as Dimension[])
        for (const timezone of [HOME, "UTC", "America/New_York"]) {
          const view = { range, by, timezone };
          expect(decodeView(encodeView(view, HOME), HOME)).toEqual(view);
        }
  });
  it("is empty for the standard view", () => expect(encodeView(decodeView("", HOME), HOME)).toBe(""));
  it("falls back on what it does not understand", () => {
    expect(decodeView("?range=9y&by=shoe&tz=Mars/Olympus", HOME)).toEqual(decodeView("", HOME));
  });
});

describe("dates in a zone", () => {
  it("takes the calendar of the zone, not of the machine", () => {
    const instant = new Date("2026-11-20T23:30:00Z");
    expect(dateIn("UTC", instant)).toBe("2026-11-20");
    expect(dateIn(HOME, instant)).toBe("2026-11-21");
  });
  it("knows the first of the month", () => expect(firstOfMonth("2026-11-21")).toBe("2026-11-01"));
});
