import { expect, test } from "vitest";

import { lookedAt } from "./evidence";

const NOW = new Date("2026-11-24T12:00:00Z");
const at = (opened_at: string) => ({ opened_at, labels: { feature: "chat", trouble: "volume_spike" } });

test("an answer leads to the calls of its incident, and to what was before it", () => {
  expect(lookedAt("Bot-like users", at("2026-11-24T11:50:00Z"), NOW)).toEqual({
    page: "explore",
    by: "user_id",
    measure: "calls",
    incident: null,
    range: "6h",
    filters: { feature: "chat" },
  });
});

test.each([
  ["2026-11-24T07:00:00Z", "6h"],
  ["2026-11-24T06:59:00Z", "24h"],
  ["2026-11-20T12:00:00Z", "7d"],
  ["2026-09-01T12:00:00Z", "90d"],
])("what began at %s is looked at over %s", (opened, range) => expect(lookedAt("Models", at(opened), NOW)?.range).toBe(range));

test("what has no page leads nowhere", () => {
  expect(["Deployments", "a step of mine", "constructor"].map((step) => lookedAt(step, at("2026-11-24T11:50:00Z"), NOW))).toEqual([null, null, null]);
});
