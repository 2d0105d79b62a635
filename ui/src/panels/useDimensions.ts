import { calls } from "../api/client";
import { useAnswer } from "../api/useAnswer";
import { type Dimension, DIMENSIONS, nameOf, tagNamed } from "../view/names";

const CALLS_LOOKED_AT = 200;
const STALE_MS = 60_000;

interface Option {
  value: string;
  label: string;
}

interface Options {
  group: string;
  items: Option[];
}

/** What can be grouped by: fields, what is chosen already and, once somebody looks, the tags of the last calls. */
export function useDimensions(chosen: (Dimension | null)[], isLookedAt: boolean): Options[] {
  const { data } = useAnswer({ queryKey: ["tags"], queryFn: tagNames, staleTime: STALE_MS, enabled: isLookedAt });
  const fields = Object.entries(DIMENSIONS).map(([value, label]) => ({ value, label }));
  const others = chosen.filter((name): name is Dimension => name !== null && !Object.hasOwn(DIMENSIONS, name));
  const tags = [...new Set([...(data ?? []).map(tagNamed), ...others])].map((value) => ({ value, label: nameOf(value) }));
  return [{ group: "Fields", items: fields }, ...(tags.length ? [{ group: "Tags", items: tags }] : [])];
}

async function tagNames(): Promise<string[]> {
  const { events } = await calls({}, { limit: CALLS_LOOKED_AT });
  return [...new Set(events.flatMap((event) => Object.keys(event.tags ?? {})))].sort();
}
