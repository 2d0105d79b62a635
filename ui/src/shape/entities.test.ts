import { expect, test } from "vitest";

import type { Incident, Limit } from "../api/types";
import { concerning, standings } from "./entities";

const LIMITS = [
  { name: "monthly", values: [{ scope: { user: "ada" } }, { scope: { user: "grace" } }] },
  { name: "chat", values: [{ scope: { feature: "chat" } }] },
  { name: "everybody", values: [{ scope: {} }] },
] as unknown as Limit[];
const INCIDENTS = [{ incident_id: "1", labels: { user_id: "ada" } }, { incident_id: "2", labels: { feature: "chat" } }] as unknown as Incident[];

test.each([
  ["user_id", "ada", ["monthly"], ["1"]],
  ["feature", "chat", ["chat"], ["2"]],
  ["feature", "ada", [], []],
])("%s %s is held by %j and concerned by %j", (dimension, of, held, wrong) => {
  expect(standings(LIMITS, dimension, of).map(({ limit }) => limit.name)).toEqual(held);
  expect(concerning(INCIDENTS, dimension, of).map(({ incident_id }) => incident_id)).toEqual(wrong);
});
