/** The pages as data. Those that are not looked at first are loaded when they are. */

import type { QueryClient } from "@tanstack/react-query";
import type { ComponentType } from "react";

import { type Lazily, lazily } from "../lazily";
import { askEarly, type EarlyQuestion } from "../live/useLiveQuery";
import type { ChangeView, PageName, View } from "../view/state";
import Overview from "./Overview";

export interface PageProps {
  view: View;
  change: ChangeView;
}

/** The question whose answer a page waits for longest, as its panel puts it; null where it has none. */
export type FirstQuestion = (view: View) => EarlyQuestion<any> | null;

/** A page that is loaded when it is first shown. */
type LatePage = Lazily<PageProps, { firstQuestion?: FirstQuestion }>;

const Entities = lazily(() => import("./Entities"));

export const PAGE_OF: Record<PageName, ComponentType<PageProps> | LatePage> = {
  overview: Overview,
  explore: lazily(() => import("./Explore")),
  calls: lazily(() => import("./Calls")),
  users: Entities,
  teams: Entities,
  features: Entities,
  models: Entities,
  why: lazily(() => import("./Why")),
  finance: lazily(() => import("./Finance")),
  alerts: lazily(() => import("./Alerts")),
  limits: lazily(() => import("./Limits")),
  calculator: lazily(() => import("./Calculator")),
  prices: lazily(() => import("./Prices")),
  keys: lazily(() => import("./Keys")),
  settings: lazily(() => import("./Settings")),
  health: lazily(() => import("./Health")),
};

/** Before anything is drawn: what the first page waits for is on its way. `view` is asked for once the page is there. */
export function beginWith(name: PageName, queries: QueryClient, view: () => View): void {
  const page = PAGE_OF[name];
  if (!("load" in page)) return;
  void page.load().then(({ firstQuestion }) => {
    const question = firstQuestion?.(view());
    if (question) askEarly(queries, question);
  }, () => undefined); // who shows it says that it cannot come
}
