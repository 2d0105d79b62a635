import { expect, it } from "vitest";

import { chargedColumns, ECONOMICS, missing, sheetCsv } from "./finance";

const ACME = { tenant: "acme, inc.", calls: 2, cost_usd: "1.500000000001", markup_usd: "0.15", shared_usd: "0", amount_usd: "1.65" };

it("what is shared has a column where something is", () => {
  expect(chargedColumns([ACME]).map(({ name }) => name)).toEqual(["calls", "cost_usd", "markup_usd", "amount_usd"]);
  expect(chargedColumns([ACME, { ...ACME, shared_usd: "-0.2" }]).map(({ name }) => name)).toContain("shared_usd");
});

it.each([
  [{ unpriced_calls: 0 }, []],
  [{ unpriced_calls: 1 }, ["1 call without a price: in no amount."]],
  [{ unpriced_calls: 0, unvalued_outcomes: 1200 }, ["1,200 outcomes without a value: the margin is at least this."]],
])("says what is missing: %j", (coverage, words) => {
  expect(missing(coverage)).toEqual(words);
});

it("hands on exact amounts, and nothing for what is not known", () => {
  const totals = { ...ACME, cost_usd: null };
  expect(sheetCsv(["tenant"], chargedColumns([ACME]), [ACME], totals).split("\r\n")).toEqual([
    "tenant,calls,cost_usd,markup_usd,amount_usd",
    '"acme, inc.",2,1.500000000001,0.15,1.65',
    "total,2,,0.15,1.65",
    "",
  ]);
});

it("the total of outcomes stands below the group, not below the name", () => {
  const row = { feature: "chat", outcome: "solved", outcomes: 3 };
  expect(sheetCsv(["feature", "outcome"], ECONOMICS.slice(0, 1), [row], { outcomes: 3 }).split("\r\n").at(-2)).toBe("total,,3");
});
