import { describe, expect, it } from "vitest";

import { cumulate, filled, NOT_SET, stack } from "./series";

const at = (minute: number) => `2026-11-20T10:0${minute}:00+00:00`;
const seconds = (minute: number) => Date.parse(at(minute)) / 1000;
const totals = [
  { time: at(0), cost_usd: "6" },
  { time: at(2), cost_usd: "5" },
];
const grouped = [
  { time: at(0), feature: "chat", cost_usd: "3" },
  { time: at(0), feature: "search", cost_usd: "1" },
  { time: at(2), feature: "chat", cost_usd: "5" },
];

describe("stacking", () => {
  it("gives the named groups in order and the rest as other", () => {
    expect(stack(totals, grouped, "feature", ["chat", "search"], "cost_usd")).toEqual({
      times: [seconds(0), seconds(2)],
      groups: [
        { name: "chat", values: [3, 5] },
        { name: "search", values: [1, 0] },
        { name: "other", values: [2, 0] },
      ],
    });
  });
  it("leaves other out when nothing is left", () => {
    const rows = [{ time: at(0), feature: null, cost_usd: "6" }];
    expect(stack([totals[0]!], rows, "feature", [NOT_SET], "cost_usd").groups.map((g) => g.name)).toEqual([NOT_SET]);
  });
  it("adds up to the totals", () => {
    const top = cumulate(stack(totals, grouped, "feature", ["chat", "search"], "cost_usd").groups).at(-1);
    expect(top).toEqual([6, 5]);
  });
  it("draws quiet minutes as nothing", () => {
    const series = filled(stack(totals, grouped, "feature", ["chat"], "cost_usd"), 60);
    expect(series.times).toEqual([seconds(0), seconds(1), seconds(2)]);
    expect(series.groups[0]!.values).toEqual([3, 0, 5]);
  });
});
