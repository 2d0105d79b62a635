import { describe, expect, test } from "vitest";

import { NEW_RULE, ruleFormOf, ruleOf, ruleWords } from "./ruleForm";

const BURN = { name: "burn", measure: "cost_usd", over: "10m", critical: "> 50", for: "0s", no_data: "ok" };

describe("a definition keeps its meaning through the form", () => {
  test.each([
    BURN,
    { ...BURN, where: { feature: "chat" }, each: ["team", "user_id"], warning: "> 20", for: "5m" },
    { ...BURN, where: { feature: { in: ["chat", "search"] } }, against: "week_before", no_data: "alert" },
    { ...BURN, where: { feature: "chat", user_id: { not: "ann" }, team: null }, labels: { owner: "ann" }, runbook: "mine" },
  ])("%j", (definition) => expect(ruleOf(ruleFormOf(definition))).toEqual(definition));
});

test("what the API leaves out is as ever", () => {
  expect(ruleOf(ruleFormOf({ name: "burn", measure: "cost_usd", critical: "> 50" }))).toEqual(BURN);
});

test("spaces around what was typed are none of it", () => {
  expect(ruleOf({ ...NEW_RULE, name: " burn ", critical: " > 50 " })).toEqual(BURN);
});

test.each([
  [BURN, "cost over 10m: critical > 50"],
  [
    { ...BURN, each: ["feature"], where: { team: "core" }, against: "previous", warning: "> 150%", for: "5m" },
    "cost over 10m of each feature, only team=core against the time before: warning > 150%, critical > 50 for 5m",
  ],
])("%j in words", (definition, words) => expect(ruleWords(ruleFormOf(definition))).toBe(words));
