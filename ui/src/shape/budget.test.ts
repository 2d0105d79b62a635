import { expect, test } from "vitest";

import type { Limit } from "../api/types";
import { fullest, left, usedUp } from "./budget";

const limit = (name: string, ...percents: number[]) => ({ name, values: percents.map((percent) => ({ value: `${percent}`, percent })) }) as unknown as Limit;

test.each([
  ["nobody is held to anything", [], undefined, 0],
  ["nothing is spent yet", [limit("idle")], undefined, 0],
  ["one is nearly used up", [limit("a", 10, 85), limit("b", 40)], "a 85", 0],
  ["two are used up", [limit("a", 100), limit("b", 120, 99)], "b 120", 2],
])("%s", (_words, limits, name, over) => {
  const found = fullest(limits);
  expect(found ? `${found.limit.name} ${found.value.percent}` : undefined).toBe(name);
  expect(usedUp(limits)).toBe(over);
});

test.each([
  ["5.5", "cost_usd", "$5.50 left"],
  ["0.004", "cost_usd", "$0.0040 left"],
  [1200, "requests", "1,200 left"],
  ["0", "cost_usd", "nothing left"],
  ["-2.5", "cost_usd", "nothing left"],
])("of a limit of which %s %s remain it says %s", (remaining, measure, said) => expect(left({ remaining }, measure)).toBe(said));
