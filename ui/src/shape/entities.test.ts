import { expect, test } from "vitest";

import type { Answer, Incident, Limit } from "../api/types";
import { concerning, ofShown, standings } from "./entities";

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

test("what is asked of the groups that are shown is asked of no others", () => {
  const rows = [{ team: "core" }, { team: null }];
  const all = { rows } as unknown as Answer;
  expect(ofShown({ feature: "chat" }, all, "team")).toEqual({ feature: "chat" });
  const some = { rows: [...rows, { team: null, other: true }] } as unknown as Answer;
  expect(ofShown({ feature: "chat", team: "core" }, some, "team")).toEqual({ feature: "chat", team: { in: ["core", null] } });
});
