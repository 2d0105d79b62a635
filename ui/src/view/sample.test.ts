import { expect, test } from "vitest";

import { addressed, isOfSample, SAMPLE_ADDRESS } from "./sample";
import { decodeView, encodeView } from "./state";

test.each([
  ["/api/v1/query", "?page=why&sample=1", "/api/v1/query?sample=1"],
  ["/api/v1/events?limit=1", "?sample=1", "/api/v1/events?limit=1&sample=1"],
  ["/api/v1/query", "?page=why", "/api/v1/query"],
  ["/api/v1/query", "?sample=0", "/api/v1/query"],
])("%s from a page at %s is asked as %s", (path, search, asked) => expect(addressed(path, search)).toBe(asked));

test("the sample is entered with some weeks of it", () => {
  const view = decodeView(SAMPLE_ADDRESS.slice(1), "UTC");
  expect(view).toMatchObject({ sample: true, range: "30d", page: "overview" });
  expect(isOfSample(encodeView({ ...view, page: "why" }, "UTC"))).toBe(true);
});

test.each(["keys", "settings", "health"])("the sample has no %s", (page) => {
  expect(decodeView(`?sample=1&page=${page}`, "UTC").page).toBe("overview");
  expect(decodeView(`?page=${page}`, "UTC").page).toBe(page);
});
