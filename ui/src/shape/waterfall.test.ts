import { expect, test } from "vitest";

import { waterfall } from "./waterfall";

const ANSWER = {
  before_usd: "10",
  after_usd: "16",
  factors: [
    { factor: "volume", change_usd: "8" },
    { factor: "cache", change_usd: "-2" },
  ],
};

test("each bar begins where the one before ended", () => {
  expect(waterfall(ANSWER).map(({ label, left, width }) => [label, Math.round(left), Math.round(width)])).toEqual([
    ["Before", 0, 56],
    ["More or fewer requests", 56, 44],
    ["Caching", 89, 11],
    ["After", 0, 89],
  ]);
});

test("amounts stay exact", () => {
  const steps = waterfall({ before_usd: "0.1", after_usd: "0.3", factors: [{ factor: "price", change_usd: "0.2" }] });
  expect(steps.map((step) => step.amount)).toEqual(["0.1", "0.2", "0.3"]);
});

test("nothing at all has no width", () => {
  expect(waterfall({ before_usd: "0", after_usd: "0", factors: [] }).map((step) => step.width)).toEqual([0, 0]);
});
