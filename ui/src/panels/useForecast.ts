import type { UseQueryResult } from "@tanstack/react-query";

import { forecast } from "../api/client";
import type { Forecast } from "../api/types";
import { useLiveQuery } from "../live/useLiveQuery";
import type { View } from "../view/state";

const PACE_SECONDS = 60;

/** What the month under way may come to. Asked once for all panels that show it. */
export function useForecast({ timezone, filters }: View): UseQueryResult<Forecast> {
  return useLiveQuery({ key: ["forecast", timezone, filters], paceSeconds: PACE_SECONDS, ask: () => forecast({ timezone, filters }) });
}
