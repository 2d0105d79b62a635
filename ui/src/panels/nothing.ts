import { RANGES, type View } from "../view/state";

/** What a panel says that has nothing to show. */
export function nothing({ range, filters }: View): string {
  return `No calls in the last ${RANGES[range].label}${Object.keys(filters).length ? " match the filters" : ""}.`;
}
