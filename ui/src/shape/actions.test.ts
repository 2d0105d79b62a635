import { expect, test } from "vitest";

import type { Incident } from "../api/types";
import { actionWords, isSilencing, silencing } from "./actions";

const COMMON = { name: "incident-1-x", scope: { user: ["u1"], feature: ["chat"] }, mode: "hard", warn_at: [] };

test.each([
  [{ measure: "cost_usd", limit: "5", window: "hour", action: "block" }, "user u1, feature chat: at most $5.00 an hour."],
  [{ measure: "requests", limit: 1, window: "lifetime", action: "block" }, "Calls of user u1, feature chat are refused."],
  [
    { measure: "requests", limit: 1, window: "lifetime", action: { downgrade: "gpt-4o-mini" } },
    "gpt-4o-mini answers the calls of user u1, feature chat.",
  ],
])("%j", (definition, words) => expect(actionWords({ ...COMMON, ...definition })).toBe(words));

test.each([
  [{ feature: "chat" }, true],
  [{ feature: ["search", "chat"] }, true],
  [{ feature: "search" }, false],
  [{ feature: "chat", team: "core" }, false],
  [{ team: "!core" }, true],
  [{ feature: ["!chat", "!search"] }, false],
  [{}, true],
])("a silence of %j is about it: %j", (match, is) => expect(isSilencing(match, { feature: "chat", user_id: "u1" })).toBe(is));

const LIMIT = { limit: "daily", team: "core" };
test.each<[Record<string, string>[], Record<string, string>]>([
  [[{ feature: "chat" }], { feature: "chat" }],
  [[{ ...LIMIT, percent: "80" }], LIMIT],
  [[{ ...LIMIT, percent: "100", user_id: "ann" }, { ...LIMIT, percent: "80", user_id: "bob" }], LIMIT],
  [[{ trouble: "lag" }, { user_id: "ann" }], { kind: "lag" }],
  [[{}], { kind: "lag" }],
])("a silence of an incident with alerts on %j matches %j", (every, match) =>
  expect(silencing({ alerts: every.map((labels) => ({ labels }) as Incident["alerts"][number]), kind: "lag" })).toEqual(match),
);
