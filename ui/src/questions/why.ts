/** What the page Why asks. */

import { why } from "../api/client";
import type { WhyAnswer } from "../api/types";
import type { LiveQuestion } from "../live/question";
import { lookOf, periodOf } from "../view/range";
import type { View } from "../view/state";

export const AGAINST = { previous: "the time before", week_before: "a week earlier" } as const;
export type Against = keyof typeof AGAINST;
export const FIRST_AGAINST: Against = "previous";

const SLOWEST_SECONDS = 30;
/** What the change of each consists of takes another look at its calls. */
const MOST_CONTRIBUTORS = 12;

export function change({ range, timezone, filters }: View, against: Against): LiveQuestion<WhyAnswer> {
  return {
    key: ["why", range, timezone, filters, against],
    paceSeconds: Math.max(SLOWEST_SECONDS, lookOf(range).paceSeconds),
    ask: () => why({ ...periodOf(range, timezone, new Date()), timezone, filters, against, limit: MOST_CONTRIBUTORS }),
  };
}
