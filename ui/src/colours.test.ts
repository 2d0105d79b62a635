import { expect, test } from "vitest";

import { MOST_GROUPS, REST_COLOUR, SERIES_COLOURS } from "./colours";
import { TOPS } from "./view/state";

test("as many groups as can be chosen have a colour of their own", () => {
  const shown = SERIES_COLOURS.slice(0, Math.max(...TOPS, MOST_GROUPS));
  expect(shown).toHaveLength(Math.max(...TOPS));
  expect(new Set([...shown, REST_COLOUR]).size).toBe(shown.length + 1);
});
