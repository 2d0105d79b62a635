import { expect, test } from "vitest";

import { keepViews, MOST_VIEWS, savedViews } from "./saved";

function storage(text: string | null = null) {
  const kept = { text, getItem: () => kept.text, setItem: (_key: string, said: string) => void (kept.text = said) };
  return kept;
}

test("views are there again by their names", () => {
  const kept = storage();
  expect(keepViews(kept, { mine: "?page=users", "": "" })).toBe(true);
  expect(savedViews(kept)).toEqual({ mine: "?page=users", "": "" });
});

test.each([null, "", "nonsense", "[1]", "null", '{"a": 1}'])("%j is nothing", (text) => expect(savedViews(storage(text))).toEqual({}));

test("the oldest go when there are too many", () => {
  const kept = storage();
  keepViews(kept, Object.fromEntries(Array.from({ length: MOST_VIEWS + 1 }, (_, n) => [`view ${n}`, `?top=${n}`])));
  expect(Object.keys(savedViews(kept))).toHaveLength(MOST_VIEWS);
  expect(savedViews(kept)["view 0"]).toBeUndefined();
});

test("a storage that keeps nothing is told", () => {
  const full = {
    getItem: () => null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  };
  expect(keepViews(full, { mine: "?page=users" })).toBe(false);
});
