import { describe, expect, it, test } from "vitest";

import type { Answer } from "../api/types";
import { decodeView } from "../view/state";
import { asCommand, asCurl, csv, lines, measuresOf, narrowed, parquetAddress, question } from "./explore";

const NOW = new Date("2026-11-20T10:30:00Z");
const VIEW = decodeView("?range=30d&by=feature&then=tags.region&tz=UTC&feature=chat&top=5&compare=1", "UTC");
const COVERAGE = { unpriced_calls: 0, unpriced_tokens: 0, estimated_calls: 0, late_calls: 0 };
const ANSWER: Answer = {
  rows: [
    { feature: "chat", "tags.region": 'e"u', cost_usd: "1.000000000001", calls: 2, unpriced_calls: 0 },
    { feature: null, "tags.region": "us", cost_usd: null, calls: 1, unpriced_calls: 1 },
    { feature: null, "tags.region": null, cost_usd: "3", calls: 9, unpriced_calls: 0, other: true },
  ],
  totals: {},
  coverage: COVERAGE,
  comparison: {
    from: "2026-10-01",
    to: "2026-10-22",
    rows: [{ feature: "chat", "tags.region": 'e"u', cost_usd: "0.5", calls: 1, unpriced_calls: 0 }],
    totals: {},
    coverage: COVERAGE,
  },
};

test("the question is that of the view", () => {
  expect(question(VIEW, NOW, true)).toEqual({
    measures: ["cost_usd", "calls", "unpriced_calls"],
    group_by: ["feature", "tags.region"],
    filters: { feature: "chat" },
    from: "2026-10-22",
    timezone: "UTC",
    order_by: "-cost_usd",
    limit: 5,
    interval: "day",
    compare: "previous_period",
  });
});

test.each([
  ["calls", ["calls"]],
  ["error_rate", ["error_rate", "calls"]],
  ["cost_per_call", ["cost_per_call", "calls", "unpriced_calls"]],
] as const)("%s is asked with what says how far it can be trusted", (measure, asked) => expect(measuresOf({ measure })).toEqual(asked));

test("the file has the numbers of the answer to the last digit, and the time before beside them", () => {
  expect(csv(ANSWER, VIEW)).toBe(
    "feature,tags.region,other,cost_usd,calls,unpriced_calls,cost_usd_before,calls_before,unpriced_calls_before\r\n" +
      'chat,"e""u",false,1.000000000001,2,0,0.5,1,0\r\n' +
      ",us,false,,1,1,,,\r\n" +
      ",,true,3,9,0,,,\r\n",
  );
});

test("a group stands beside itself in the time before", () => {
  expect(lines(ANSWER, ["feature", "tags.region"]).map(({ before }) => before?.["cost_usd"])).toEqual(["0.5", undefined, undefined]);
});

describe("narrowing to a row", () => {
  const to = (index: number) => narrowed({ team: "core" }, ANSWER.rows[index]!, ["feature", "tags.region"]);
  it("keeps what was chosen before", () => expect(to(0)).toEqual({ team: "core", feature: "chat", "tags.region": 'e"u' }));
  it("can ask for what is not set", () => expect(to(1)).toEqual({ team: "core", feature: "(not set)", "tags.region": "us" }));
  it("is not possible for all others", () => expect(to(2)).toBeNull());
});

describe("the question elsewhere", () => {
  const asked = question({ ...VIEW, filters: { feature: "it's", team: "(not set)" } }, NOW, false);
  it("is a command", () => {
    expect(asCommand(asked, { feature: "it's", team: "(not set)" })).toBe(
      "taximeter report --by=feature,tags.region --measures=cost_usd,calls,unpriced_calls --since=2026-10-22 --tz=UTC --order-by=-cost_usd " +
        "--limit=5 --compare=previous_period --where 'feature=it'\\''s' --where '!team'",
    );
  });
  it("is the address of a file", () => {
    const { pathname, searchParams } = new URL(parquetAddress(asked), "http://127.0.0.1");
    expect([pathname, Object.fromEntries(searchParams)]).toEqual([
      "/api/v1/query",
      {
        measures: "cost_usd,calls,unpriced_calls",
        group_by: "feature,tags.region",
        filters: '{"feature":"it\'s","team":{"missing":true}}',
        from: "2026-10-22",
        timezone: "UTC",
        order_by: "-cost_usd",
        limit: "5",
        format: "parquet",
      },
    ]);
  });
  it("is a call of the API", () => {
    expect(asCurl("http://127.0.0.1:8787", asked)).toContain(`"filters":{"feature":"it'\\''s","team":{"missing":true}}`);
  });
});
