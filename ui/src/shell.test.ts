import { expect, it } from "vitest";

import document from "../index.html?raw";
import { PAGES } from "./view/state";

it("the document names the pages before any script runs", () => {
  // Not yet links: those keep the view, which the script reads from the address.
  expect([...document.matchAll(/<a>([^<]*)<\/a>/g)].map(([, name]) => name)).toEqual(Object.values(PAGES));
});
