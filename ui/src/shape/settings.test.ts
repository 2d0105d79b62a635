import { expect, test } from "vitest";

import type { Section } from "../api/types";
import { originWords, sectionsWith, valueWords } from "./settings";

const SECTIONS: Section[] = [
  {
    name: "server",
    settings: [
      { name: "server.port", value: 9000, origin: { kind: "environment", at: "TAXIMETER_SERVER_PORT" }, is_secret: false, about: "Port to listen on." },
      { name: "server.auth", value: "required", origin: { kind: "default", at: null }, is_secret: false, about: "Who may." },
    ],
  },
  { name: "spool", settings: [{ name: "spool.age_seconds", value: 5, origin: { kind: "default", at: null }, is_secret: false, about: "Age." }] },
];

test.each([
  ["", false, ["server.port", "server.auth", "spool.age_seconds"]],
  ["LISTEN", false, ["server.port"]],
  ["", true, ["server.port"]],
  ["nothing", false, []],
])("found by %j, only what was said: %j", (word, onlySaid, names) => {
  expect(sectionsWith(SECTIONS, word, onlySaid).flatMap(({ settings }) => settings.map(({ name }) => name))).toEqual(names);
});

test.each([
  [null, "not set"],
  [false, "no"],
  [0, "0"],
  [[], "none"],
  [{}, "none"],
  [["a", "b"], "a, b"],
  [{ slack: { kind: "slack", token: "••••" } }, "slack: {kind: slack, token: ••••}"],
])("%j is %j", (value, words) => expect(valueWords(value)).toBe(words));

test.each([
  [{ kind: "file", at: "12" }, "line 12 of the file"],
  [{ kind: "environment", at: "TAXIMETER_SERVER_PORT" }, "TAXIMETER_SERVER_PORT"],
  [{ kind: "environment", at: null }, "environment"],
  [{ kind: "command line", at: "--port" }, "--port"],
] as const)("%j is %j", (origin, words) => expect(originWords(origin)).toBe(words));
