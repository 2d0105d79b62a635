import { useMemo, useRef } from "react";

import { colourSlots, type Series } from "../shape/series";
import { REST_COLOUR, SERIES_COLOURS } from "../colours";

/** A colour for each group. Names keep theirs while `by` stays; beyond the colours there are, they come again. */
export function useColours(series: Series | undefined, by: string): string[] {
  const slots = useRef({ by, of: new Map<string, number>() });
  return useMemo(() => {
    const named = series?.groups.filter((group) => !group.isRest).map((group) => group.name) ?? [];
    const before = slots.current.by === by ? slots.current.of : new Map<string, number>();
    slots.current = { by, of: colourSlots(before, named, SERIES_COLOURS.length) };
    return series?.groups.map((g) => (g.isRest ? REST_COLOUR : SERIES_COLOURS[slots.current.of.get(g.name)!]!)) ?? [];
  }, [series, by]);
}
