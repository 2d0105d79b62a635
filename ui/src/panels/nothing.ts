import { theRange } from "../view/range";
import { type View } from "../view/state";

/** What a panel says that has nothing to show. */
export function nothing({ range, timezone, filters }: View): string {
  return `No calls in ${theRange(range, timezone)}${Object.keys(filters).length ? " match the filters" : ""}.`;
}
