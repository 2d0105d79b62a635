import { describe, expect, it, test } from "vitest";

import type { Row } from "../api/types";
import { bucketAt, colourSlots, heights, NOT_SET, REST, rowValue, series } from "./series";

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

test.each([
  [{ feature: "chat" }, "chat"],
  [{ feature: null }, null],
  [{ feature: NOT_SET }, null],
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
