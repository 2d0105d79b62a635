import { expect, test } from "vitest";

import type { Limit } from "../api/types";
import { fullest, usedUp } from "./budget";

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
