/** What each page waits for longest, to be asked before anything is drawn. */

import type { EarlyQuestion } from "../live/question";
import type { PageName, View } from "../view/state";
import { everyOneInFull } from "./entities";
import { daysOfMonth, HOW_LIMITS_STAND, hours, lastCalls, lately, monthEnd, monthToDate, overTime, today, top } from "./spend";
import { change, FIRST_AGAINST } from "./why";

type First = (view: View) => EarlyQuestion<any>[];

/** As its panels stand, but what takes longest begins early. */
const ofOverview: First = (view) => [
  lately(view),
  today(view),
  monthToDate(view),
  top("user_id", view),
  overTime(view),
  monthEnd(view),
  top("feature", view),
  top("model", view),
  HOW_LIMITS_STAND,
  hours(view),
  daysOfMonth(view),
  lastCalls(view),
];

export const FIRST_OF: Partial<Record<PageName, First>> = {
  overview: ofOverview,
  users: everyOneInFull,
  teams: everyOneInFull,
  features: everyOneInFull,
  models: everyOneInFull,
  why: (view) => [change(view, FIRST_AGAINST)],
};
