import { expect, test } from "vitest";

import { ownWorkload, SAME, type Scenario, supposed, wishOf, type Workload } from "./workload";

const EXAMPLE: Workload = {
  model: "gpt-4o",
  compare: ["gpt-4o-mini"],
  input_tokens: 1000,
  output_tokens: 500,
  calls_per_day: 100_000,
  cached: 60,
  prices: null,
};

test.each<[string, Partial<Scenario>, Partial<Workload>]>([
  ["nothing", {}, {}],
  ["twice the output", { outputTimes: 2 }, { output_tokens: 1000 }],
  ["a third of the input", { inputTimes: 1 / 3 }, { input_tokens: 333 }],
  ["12.5% more calls", { growth: 12.5 }, { calls_per_day: 112_500 }],
  ["no calls any more", { growth: -100 }, { calls_per_day: 0 }],
  ["another model", { model: " o3 " }, { model: "o3" }],
])("%s", (_words, scenario, changed) => {
  expect(supposed(EXAMPLE, { ...SAME, ...scenario })).toEqual({ ...EXAMPLE, compare: [], ...changed });
});

test("shares are asked for as text, and prices only when there are others", () => {
  const { cached: _, prices: __, ...workload } = EXAMPLE;
  expect(wishOf(EXAMPLE)).toEqual({ ...workload, cached_share: "0.6" });
  expect(wishOf({ ...EXAMPLE, prices: "prices: []" })).toEqual({ ...workload, cached_share: "0.6", prices: "prices: []" });
});

test("one's own workload is the average call", () => {
  const totals = { calls: 300, input_tokens: 90_000, output_tokens: 30_100, cache_read_tokens: 45_000 };
  expect(ownWorkload(totals, 7)).toEqual({ input_tokens: 300, output_tokens: 100, calls_per_day: 43, cached: 50 });
  expect(ownWorkload({ calls: 0, input_tokens: null }, 7)).toBeNull();
});
