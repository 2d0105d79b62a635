import { expect, it } from "vitest";

import { keptColumns, toggled } from "./callColumns";

function storage(text: string | null = null) {
  const kept = { text, getItem: () => kept.text, setItem: (_: string, value: string) => void (kept.text = value) };
  return kept;
}

it("keeps columns in the order of the list, and takes them away again", () => {
  const kept = storage();
  const two = toggled(kept, toggled(kept, [], "endpoint"), "team");
  expect(two).toEqual(["team", "endpoint"]);
  expect(keptColumns(kept)).toEqual(two);
  expect(toggled(kept, two, "team")).toEqual(["endpoint"]);
  expect(keptColumns(kept)).toEqual(["endpoint"]);
});

it.each([null, "nonsense", "{}", '["shoe"]'])("has none of its own where %s is kept", (text) => expect(keptColumns(storage(text))).toEqual([]));

it("holds what is chosen where nothing can be kept", () => {
  const full = { getItem: () => null, setItem: () => { throw new Error("full"); } };
  expect(toggled(full, [], "team")).toEqual(["team"]);
});
