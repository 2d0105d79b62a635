import { expect, test } from "vitest";

import { type Command, matching, stepped } from "./commands";

const named = (kind: string, name: string): Command => ({ kind, name, run: () => undefined });
const COMMANDS = [named("Go to", "Users"), named("Go to", "Limits"), named("Show", "the last 24 hours"), named("View", "users of chat")];

test.each([
  ["", 4],
  ["  users ", 2],
  ["go us", 1],
  ["24", 1],
  ["nothing", 0],
])("%j finds %d", (words, count) => expect(matching(COMMANDS, words)).toHaveLength(count));

test.each([
  [0, 1, 3, 1],
  [2, 1, 3, 0],
  [0, -1, 3, 2],
  [0, 1, 0, 0],
])("from %d by %d of %d is %d", (at, by, count, next) => expect(stepped(at, by, count)).toBe(next));
