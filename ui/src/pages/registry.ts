/** The pages as data. Those that are not looked at first are loaded when they are. */

import { type ComponentType, lazy } from "react";

import type { ChangeView, PageName, View } from "../view/state";
import Overview from "./Overview";

export interface PageProps {
  view: View;
  change: ChangeView;
}

const Entities = lazy(() => import("./Entities"));

export const PAGE_OF: Record<PageName, ComponentType<PageProps>> = {
  overview: Overview,
  explore: lazy(() => import("./Explore")),
  calls: lazy(() => import("./Calls")),
  users: Entities,
  teams: Entities,
  features: Entities,
  models: Entities,
  why: lazy(() => import("./Why")),
  alerts: lazy(() => import("./Alerts")),
  limits: lazy(() => import("./Limits")),
  calculator: lazy(() => import("./Calculator")),
  prices: lazy(() => import("./Prices")),
  keys: lazy(() => import("./Keys")),
  settings: lazy(() => import("./Settings")),
  health: lazy(() => import("./Health")),
};
