import { describe, expect, it, test } from "vitest";

import { chartOf, type ChartName, CHARTS, decodeView, encodeView, intervalOf, type PageName, PAGES, TOPS, type View } from "./state";
import { RANGES, type TimeRange } from "./range";
import { MEASURES, type MeasureName } from "./measures";
import { type Dimension, DIMENSIONS } from "./names";

const HOME = "Europe/Berlin";
const STANDARD = decodeView("", HOME);

describe("the view in the URL", () => {
  const ALTERNATIVES: { [name in keyof View]?: View[name][] } = {
    page: Object.keys(PAGES) as PageName[],
    range: [...(Object.keys(RANGES) as TimeRange[]), "2026-11-26T23:00Z/2026-11-27T23:00Z"],
    by: [...(Object.keys(DIMENSIONS) as Dimension[]), "tags.tier", "tags.a&b"],
    isGrouped: [true, false],
    then: [null, "model", "tags.region"],
    timezone: [HOME, "UTC", "America/New_York"],
    filters: [{}, { feature: "smart-reply" }, { user_id: "a&b=c ü", model: "gpt-4o", session_id: "s/1", "tags.t": "(not set)" }, { feature: { values: ["a", "b&c"], not: false }, model: { values: ["gpt-4o"], not: true }, team: { values: ["core", "(not set)"], not: true } }],
    measure: Object.keys(MEASURES) as MeasureName[],
    chart: Object.keys(CHARTS) as ChartName[],
    interval: [null, "hour", "day"],
    top: [...TOPS],
    compare: [true, false],
    of: [null, "ada & co"],
    call: [null, "01a1fbdb-52fc-71ef-8496-c67277bd2c37"],
    incident: [null, "01a1fbdb-52fc-71ef-8496-c67277bd2c37"],
    sample: [true, false],
  };
  const OTHER: View = { ...STANDARD, page: "explore", range: "7d", by: "team", timezone: "UTC", filters: { team: "core" }, chart: "bars", compare: true };
  it.each(Object.entries(ALTERNATIVES))("survives being written and read with any %s", (name, values) => {
    for (const value of values)
      for (const base of name === "interval" ? [OTHER] : [STANDARD, OTHER]) {
        const view: View = { ...base, [name]: value };
        const isGrouped = view.isGrouped || view.by !== STANDARD.by; // any other grouping was chosen
        expect(decodeView(encodeView(view, HOME), HOME)).toEqual({ ...view, isGrouped });
      }
  });
  it("is empty for the standard view", () => expect(encodeView(decodeView("", HOME), HOME)).toBe(""));
  it.each(["?range=9y&by=shoe&tz=Mars/Olympus&shoe=42", "?range=2026-11-27/2026-11-26", "?range=then/now", "?range=2026-11-26/2026-11-27/2026-11-28", "?range=toString&by=constructor&feature=", "?measure=love&chart=pie&top=7&interval=month&then=feature&compare=yes&tags.="])(
    "falls back on what it does not understand: %s",
    (search) => expect(decodeView(search, HOME)).toEqual(decodeView("", HOME)),
  );
});

test.each([
  ["30d", "week", "week"],
  ["30d", null, "day"],
  ["1h", "month", "minute"],
  ["1y", "minute", "month"],
] as const)("%s in steps of a %s has steps of a %s", (range, interval, shown) => expect(intervalOf({ range, interval })).toBe(shown));

test.each([
  ["cost_usd", "stacked", "stacked"],
  ["error_rate", "stacked", "lines"],
  ["latency_ms_p95", "table", "table"],
] as const)("%s as %s is drawn as %s", (measure, chart, drawn) => expect(chartOf({ measure, chart })).toBe(drawn));
