import { describe, expect, it, test } from "vitest";

import type { Call } from "../api/types";
import { costLines, reasonInWords, tokenLines } from "./costSheet";

const CALL = {
  event_id: "01a1fbdb-52fc-71ef-8496-c67277bd2c37",
  started_at: "2026-11-21T02:06:57.276535Z",
  provider: "anthropic",
  source: "gateway",
  status: "ok",
  input_tokens: 4048,
  cache_read_tokens: 3200,
  cache_write_5m_tokens: 400,
  output_tokens: 274,
  cost_usd: "0.009514",
  cost: { input: "0.001344", cache_read: "0.00096", cache_write: "0.0015", output: "0.00411", other: "0" },
} as Call;

describe("the cost sheet", () => {
  it("shows quantity, rate and amount of every component", () => {
    expect(costLines(CALL).map(({ component, tokens, perMillion, amount }) => [component, tokens, perMillion, amount])).toEqual([
      ["input", 448, "3", "0.001344"],
      ["cache_read", 3200, "0.3", "0.00096"],
      ["cache_write", 400, "3.75", "0.0015"],
      ["output", 274, "15", "0.00411"],
      ["other", null, null, "0"],
    ]);
  });
  it("has no amounts and no rates for an unpriced call", () => {
    const lines = costLines({ ...CALL, cost_usd: null, cost: null });
    expect(new Set(lines.map((line) => line.amount))).toEqual(new Set([null]));
    expect(new Set(lines.map((line) => line.perMillion))).toEqual(new Set([null]));
  });
});

test("tokens are listed with their parts below them", () => {
  expect(tokenLines({ ...CALL, reasoning_tokens: 0 }).map((line) => [line.label, line.tokens, line.isPart])).toEqual([
    ["Input", 4048, false],
    ["read from cache", 3200, true],
    ["written to cache", 400, true],
    ["Output", 274, false],
  ]);
});

test("every reason has words, a new one too", () => {
  expect(reasonInWords("unknown_model")).toMatch(/model/);
  expect(reasonInWords("something_new")).toMatch(/not known/);
});
