import { expect, it } from "vitest";

import { type Bill, months, reasonWords, verdict, wishOf } from "./bill";

const BILL: Bill = { month: "2026-10", by: "model", files: [], provider: "", amount: "" };
const FILE = { name: "costs.json", text: "{}" };

it.each([
  [{}, { month: "2026-10", by: "model" }],
  [{ files: [FILE] }, { month: "2026-10", by: "model", files: [FILE] }],
  [{ files: [FILE], amount: "12", provider: " openai " }, { month: "2026-10", by: "model", files: [FILE], provider: "openai" }],
  [{ amount: " 12.50 ", provider: "bedrock" }, { month: "2026-10", billed_usd: "12.50", provider: "bedrock" }],
])("asks about a bill: %j", (given: Partial<Bill>, wish) => {
  expect(wishOf({ ...BILL, ...given })).toEqual(wish);
});

it("offers last month first, and twelve in all, across the turn of the year", () => {
  const offered = months("2027-01-15");
  expect(offered.slice(0, 3)).toEqual([
    { value: "2026-12", label: "December 2026" },
    { value: "2027-01", label: "January 2027" },
    { value: "2026-11", label: "November 2026" },
  ]);
  expect(offered).toHaveLength(12);
  expect(offered[11]!.value).toBe("2026-02");
});

const TOTALS = { billed_usd: "3.66", metered_usd: "2.65", difference_usd: "1.01", difference_share: 0.2759 };

it.each([
  [{ within: false }, "warn", "Differs by more than 1.0%. +$1.01, 28% of the bill: billed $3.66, metered $2.65"],
  [{ within: true }, "good", "Agrees within 1.0%. +$1.01, 28% of the bill: billed $3.66, metered $2.65"],
  [{ within: null }, "dim", "There is no bill of that month to compare."],
])("says how it stands: %j", (given, look, words) => {
  expect(verdict({ tolerance: "0.01", totals: TOTALS as never, ...given })).toEqual({ look, words });
});

it.each([
  [{ usd: "1", calls: 12 }, "$1.00, 12 calls: why"],
  [{ usd: null, calls: 1 }, "1 call: why"],
  [{ usd: null, calls: null }, "why"],
])("a reason says how much it is about: %j", (about, words) => {
  expect(reasonWords({ code: "any", text: "why", ...about })).toBe(words);
});
