/** What was done about an incident, in words; and whether a silence is about it. */

import type { Incident } from "../api/types";
import { limitAmount } from "../format";
import { formOf, scopeWords, windowWords } from "./limitForm";

/** The limit that an action is, as a sentence. */
export function actionWords(definition: Record<string, unknown>): string {
  const form = formOf(definition);
  const whom = scopeWords(form);
  if (form.action === "downgrade") return `${form.actionTarget} answers the calls of ${whom}.`;
  if (form.window === "lifetime") return `Calls of ${whom} are refused.`;
  return `${whom}: at most ${limitAmount(form.amount, form.measure)} ${windowWords(form)}.`;
}

/** What a silence of an incident matches, as the server has it: what its alerts have in common, whichever threshold of a
 * limit they are of; else its kind of trouble. The labels of its root would match none with several alerts. */
export function silencing({ alerts, kind }: Pick<Incident, "alerts" | "kind">): Record<string, string> {
  const common = Object.entries(alerts[0]?.labels ?? {}).filter(
    ([name, value]) => name !== "percent" && alerts.every(({ labels }) => labels[name] === value),
  );
  return common.length > 0 ? Object.fromEntries(common) : { kind };
}

/** Whether all its matchers hold, as the server has it: `!` in front of a value negates. */
export function isSilencing(match: Record<string, unknown>, labels: Record<string, string>): boolean {
  return Object.entries(match).every(([name, value]) => {
    const values = [value].flat().map(String);
    const isNegated = values.some((one) => one.startsWith("!"));
    return values.map((one) => (isNegated ? one.replace(/^!/, "") : one)).includes(labels[name] ?? "") !== isNegated;
  });
}
