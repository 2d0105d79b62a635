import { describe, expect, test } from "vitest";

import { type Definition, definitionOf, formOf, isPair, NEW_LIMIT, scopeWords, windowWords, withMode } from "./limitForm";

const PLAIN: Definition = {
  name: "chat-daily",
  scope: { feature: ["chat"], user: ["ada", "grace"] },
  measure: "cost_usd",
  limit: "50.5",
  mode: "hard",
  admission: "exact",
  action: "block",
  warn_at: [50, 100],
  window: "day",
  timezone: "Europe/Berlin",
};
const RICH: Definition = {
  ...PLAIN,
  scope: "global",
  each: ["user"],
  action: { downgrade: "gpt-4o-mini" },
  window: { rolling: "86400s" },
  overrides: { "a=b": "5" },
  raises: [{ by: "10", until: "2026-12-01T00:00:00Z", for: "ada" }],
  unattributed: "share",
};
const { window: _none, timezone: _zone, ...WITHOUT_WINDOW } = PLAIN;
const AT_ONCE: Definition = { ...WITHOUT_WINDOW, measure: "concurrent", limit: "4" };

describe("a definition becomes a form and the same definition again", () => {
  test.each([
    ["plain", PLAIN],
    ["with a downgrade and raises", RICH],
    ["calls at once", AT_ONCE],
  ])("%s", (_name, definition) => {
    expect(definitionOf(formOf(definition))).toEqual(definition);
  });
});

test("what a form does not show is kept", () => {
  const changed = definitionOf({ ...formOf(RICH), amount: "60" });
  expect(changed).toMatchObject({ limit: "60", admission: "exact", unattributed: "share" });
});

test("a form that was not filled asks for an amount, and names everybody", () => {
  expect(definitionOf(NEW_LIMIT)).toMatchObject({ name: "", limit: null, scope: "global", window: "day" });
});

test("a soft limit only tells, a hard one refuses again", () => {
  const soft = withMode(formOf(RICH), "soft");
  expect(soft.action).toBe("notify");
  expect(withMode(soft, "hard").action).toBe("block");
  expect(withMode(formOf(RICH), "hard").action).toBe("downgrade");
});

test.each([
  ["feature=chat", true],
  ["tags.a=b=c", true],
  ["feature", false],
  ["feature=", false],
  ["=chat", false],
])("%j is a pair: %j", (text, is) => expect(isPair(text)).toBe(is));

test.each([
  [[], [], "everybody together"],
  [[], ["user"], "each user"],
  [["feature=chat"], ["user"], "each user of feature chat"],
  [["feature=chat", "team=core"], [], "feature chat, team core"],
])("%j, each %j: %s", (where, each, words) => expect(scopeWords({ where, each })).toBe(words));

test.each([
  ["cost_usd", "day", "a day"],
  ["cost_usd", "hour", "an hour"],
  ["cost_usd", "rolling", "in any 24h"],
  ["cost_usd", "lifetime", "for good"],
  ["concurrent", "day", ""],
] as const)("%s, %s: %j", (measure, window, words) => expect(windowWords({ measure, window, rolling: "24h" })).toBe(words));
