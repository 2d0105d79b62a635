/** The pages as data. Those that are not looked at first are loaded when they are. */

import type { ComponentType } from "react";

import { type Lazily, lazily } from "../lazily";
import type { ChangeView, PageName, View } from "../view/state";
import Overview from "./Overview";

export interface PageProps {
  view: View;
  change: ChangeView;
}

const Entities = lazily(() => import("./Entities"));

export const PAGE_OF: Record<PageName, ComponentType<PageProps> | Lazily<PageProps, unknown>> = {
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

/** Before anything is drawn. */
export function beginWith(name: PageName): void {
  const page = PAGE_OF[name];
  if ("load" in page) void page.load().catch(() => undefined); // who shows it says that it cannot come
}
