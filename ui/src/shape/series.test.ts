import { describe, expect, it, test } from "vitest";

import type { Row } from "../api/types";
import { NOT_SET } from "../view/names";
import { bucketAt, colourSlots, heights, levels, REST, rowName, rowValue, series, totalsByBucket } from "./series";

const at = (minute: number) => `2026-11-20T10:0${minute}:00+00:00`;
const seconds = (minute: number) => Date.parse(at(minute)) / 1000;
const ROWS: Row[] = [
  { time: at(0), feature: "search", cost_usd: "1.1" },
  { time: at(0), feature: "chat", cost_usd: "3" },
  { time: at(0), feature: null, cost_usd: "9", other: true },
  { time: at(2), feature: "chat", cost_usd: "5.000000000001" },
  { time: at(2), feature: "search", cost_usd: null },
];
const SERIES = series(ROWS, "feature", "cost_usd", [0, 1, 2].map(seconds));

describe("stacking", () => {
  it("has the largest group first and the rest last, however large", () => {
    expect(SERIES.groups.map((group) => group.name)).toEqual(["chat", "search", REST]);
  });
  it("has every bucket, with the quiet ones", () => {
    expect(SERIES.times).toEqual([0, 1, 2].map(seconds));
    expect(SERIES.groups[0]!.amounts).toEqual(["3", undefined, "5.000000000001"]);
  });
  it("keeps amounts exact, and the unknown apart from nothing", () => {
    expect(SERIES.groups[0]!.total).toBe("8.000000000001");
    expect(SERIES.groups[1]!.amounts).toEqual(["1.1", undefined, null]);
  });
  it("draws running sums", () => {
    expect(heights(SERIES)).toEqual([
      [3, 0, 5.000000000001],
      [4.1, 0, 5.000000000001],
      [13.1, 0, 5.000000000001],
    ]);
  });
  it("never loses a row that lies outside the expected buckets", () => {
    expect(series(ROWS, "feature", "cost_usd", []).times).toEqual([0, 2].map(seconds));
  });
  it("takes a group that is called like the rest for what it is", () => {
    const rows = [{ time: at(0), feature: REST, cost_usd: "1" }, ROWS[2]!];
    expect(series(rows, "feature", "cost_usd", []).groups.map((group) => group.isRest)).toEqual([false, true]);
  });
});

describe("two dimensions", () => {
  const rows: Row[] = [
    { time: at(0), feature: "chat", model: "a", calls: 3 },
    { time: at(0), feature: "chat", model: null, calls: 2 },
    { time: at(1), feature: null, model: null, calls: 1, other: true },
  ];
  it("name a group by both", () => expect(rows.map((row) => rowName(row, "feature", "model"))).toEqual(["chat · a", `chat · ${NOT_SET}`, REST]));
  it("make a group of each pair", () => {
    expect(series(rows, ["feature", "model"], "calls", []).groups.map(({ total }) => total)).toEqual(["3", "2", "1"]);
  });
});

describe("lines", () => {
  it("break where nothing is known", () => expect(levels(SERIES)[1]).toEqual([1.1, null, null]));
  it("show rates as they are", () => {
    const rows = [{ time: at(0), feature: "chat", error_rate: 1 / 3 }];
    expect(series(rows, "feature", "error_rate", []).groups[0]!.amounts).toEqual(["0.333333333333"]);
  });
});

test("the time before is added up by its own buckets", () => {
  expect(totalsByBucket(ROWS, "cost_usd", [0, 1, 2].map(seconds))).toEqual([13.1, 0, 5.000000000001]);
});

test.each([
  [{ feature: "chat" }, "chat"],
  [{ feature: null }, NOT_SET],
  [{ feature: null, other: true }, null],
])("%o can be narrowed to %s", (row, value) => expect(rowValue(row, "feature")).toBe(value));

test.each([
  [9, null],
  [10, 0],
  [19.9, 0],
  [99, 2],
])("%d lies in bucket %s", (instant, bucket) => expect(bucketAt([10, 20, 30], instant)).toBe(bucket));

describe("colours", () => {
  const first = colourSlots(new Map(), ["a", "b", "c"], 6);
  it("begin in the order of size", () => expect([...first.values()]).toEqual([0, 1, 2]));
  it("stay with their names when the order changes", () => expect(colourSlots(first, ["c", "a"], 6)).toEqual(new Map([["c", 2], ["a", 0]])));
  it("are given to newcomers when they are free", () => expect(colourSlots(first, ["d", "c", "a"], 6).get("d")).toBe(1));
});
