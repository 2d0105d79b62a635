import { describe, expect, it, test } from "vitest";

import { filtered, filterNames, forApi, isDimension, isFilter, nameInText, nameOf, NOT_SET, type Wanted, wanted, wantedWords } from "./names";

describe("filters", () => {
  it("hold one value a dimension", () => {
    expect(filtered({ feature: "a", team: "t" }, "feature", "b")).toEqual({ feature: "b", team: "t" });
  });
  it("can be taken away", () => expect(filtered({ feature: "a", team: "t" }, "feature", null)).toEqual({ team: "t" }));
  it("are named in the order of the fields, tags last", () => {
    expect(filterNames({ "tags.b": "1", team: "t", "tags.a": "2", feature: "f" })).toEqual(["feature", "team", "tags.a", "tags.b"]);
  });
  it("ask for what is not set by its absence", () => {
    expect(forApi({ feature: NOT_SET, team: "core", model: { in: ["a"] } })).toEqual({ feature: { missing: true }, team: "core", model: { in: ["a"] } });
  });
});

test.each([
  ["feature", true, true],
  ["tags.region", true, true],
  ["request_id", false, true],
  ["tags.", false, false],
  ["page", false, false],
  ["constructor", false, false],
])("%s: can be grouped by %s, narrowed to %s", (name, groups, narrows) => {
  expect([isDimension(name), isFilter(name)]).toEqual([groups, narrows]);
});

test.each<[string[], boolean, Wanted | null, string, unknown]>([
  [[], true, null, "", undefined],
  [["a"], false, "a", "a", "a"],
  [["a", "a"], false, "a", "a", "a"],
  [["(not set)"], false, "(not set)", "(not set)", { missing: true }],
  [["a", "b"], false, { values: ["a", "b"], not: false }, "a or b", { in: ["a", "b"] }],
  [["a"], true, { values: ["a"], not: true }, "not a", { not: ["a"] }],
  [["a", "(not set)"], true, { values: ["a", "(not set)"], not: true }, "neither a nor (not set)", { not: ["a", null] }],
])("%j, not: %j", (values, not, made, words, api) => {
  const found = wanted(values, not);
  expect(found).toEqual(made);
  if (found !== null) expect([wantedWords(found), forApi({ feature: found })]).toEqual([words, { feature: api }]);
});

test.each([
  ["user_id", "User", "user"],
  ["unpriced_reason", "Why unpriced", "why unpriced"],
  ["tags.Region", "Tag Region", "tag Region"],
  ["toString", "toString", "tostring"],
])("%s is called %s", (dimension, name, inText) => expect([nameOf(dimension), nameInText(dimension)]).toEqual([name, inText]));
