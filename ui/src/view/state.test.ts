import { describe, expect, it, test } from "vitest";

import { decodeView, DIMENSIONS, encodeView, filtered, type Dimension, type PageName, PAGES, type RangeName, RANGES, rangeStart } from "./state";

const HOME = "Europe/Berlin";

describe("the view in the URL", () => {
  it("survives being written and read, whatever is looked at", () => {
    const everyFilters = [{}, { feature: "smart-reply" }, { user_id: "a&b=c ü", model: "gpt-4o", session_id: "s/1" }];
    for (const range of Object.keys(RANGES) as RangeName[])
      for (const by of Object.keys(DIMENSIONS) as Dimension[])
        for (const timezone of [HOME, "UTC", "America/New_York"])
          for (const filters of everyFilters)
            for (const id of [null, "01a1fbdb-52fc-71ef-8496-c67277bd2c37"])
              for (const page of Object.keys(PAGES) as PageName[]) {
                const view = { page, range, by, timezone, filters, call: id, incident: id };
                expect(decodeView(encodeView(view, HOME), HOME)).toEqual(view);
              }
  });
  it("is empty for the standard view", () => expect(encodeView(decodeView("", HOME), HOME)).toBe(""));
  it.each(["?range=9y&by=shoe&tz=Mars/Olympus&shoe=42", "?range=toString&by=constructor&feature="])(
    "falls back on what it does not understand: %s",
    (search) => expect(decodeView(search, HOME)).toEqual(decodeView("", HOME)),
  );
});

describe("filters", () => {
  it("hold one value a dimension", () => {
    expect(filtered({ feature: "a", team: "t" }, "feature", "b")).toEqual({ feature: "b", team: "t" });
  });
  it("can be taken away", () => expect(filtered({ feature: "a", team: "t" }, "feature", null)).toEqual({ team: "t" }));
});

test.each([
  ["1h", HOME, "2026-11-20T22:30:00.000Z"],
  ["24h", HOME, "2026-11-19T23:00:00.000Z"],
  ["24h", "Asia/Kolkata", "2026-11-19T23:30:00.000Z"],
  ["30d", HOME, "2026-10-23"],
  ["30d", "UTC", "2026-10-22"],
] as const)("the last %s in %s begin with a whole bucket", (range, zone, start) => {
  expect(rangeStart(range, zone, new Date("2026-11-20T23:30:45Z"))).toBe(start);
});
