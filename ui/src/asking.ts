/** What the first page waits for is on its way before anything is drawn: this is loaded and run before the rest of the
 * script (see `vite.config.ts`). */

import { queries } from "./api/queries";
import { askEarly } from "./live/question";
import { FIRST_OF } from "./questions/first";
import { decodeView } from "./view/state";
import { browserTimezone } from "./view/zone";

/** What is looked at first. */
export const view = decodeView(window.location.search, browserTimezone());
for (const question of FIRST_OF[view.page]?.(view) ?? []) askEarly(queries, question);
