/** A rule's definition as fields of a form, and back. What a form does not show of a definition it keeps. */

import { measureInText } from "../view/measures";
import { nameInText } from "../view/names";
import { type Definition, groupedPairs, pairsOf } from "./limitForm";

export const AGAINST = { none: "by itself", previous: "against the time before", week_before: "against a week before" } as const;
export const NO_DATA = { ok: "all is well", alert: "that is an alert", keep: "as it was" } as const;

export interface RuleForm {
  name: string;
  measure: string;
  /** How long is added up: `10m`. */
  over: string;
  /** `feature=chat`: what calls are counted. Several of one dimension are alternatives. */
  where: string[];
  /** Dimensions of which each value is an alert of its own. */
  each: string[];
  against: keyof typeof AGAINST;
  /** Bounds: `> 50`, `>= 150%`. Empty for none. */
  warning: string;
  critical: string;
  /** How long it has to hold: `5m`. */
  holds: string;
  noData: keyof typeof NO_DATA;
  /** Of the definition, what is not in a field. */
  kept: Definition;
}

export const NEW_RULE: RuleForm = {
  name: "",
  measure: "cost_usd",
  over: "10m",
  where: [],
  each: [],
  against: "none",
  warning: "",
  critical: "",
  holds: "0s",
  noData: "ok",
  kept: {},
};

const SHOWN = ["name", "measure", "over", "where", "each", "against", "warning", "critical", "for", "no_data"];

/** The form of a definition as the API writes it, which leaves out what is as ever. */
export function ruleFormOf(definition: Definition): RuleForm {
  const text = (name: string, otherwise: string) => String(definition[name] ?? otherwise);
  const [where, others] = whereOf((definition["where"] as Definition | undefined) ?? {});
  const rest = Object.entries(definition).filter(([key]) => !SHOWN.includes(key));
  return {
    name: text("name", ""),
    measure: text("measure", NEW_RULE.measure),
    over: text("over", NEW_RULE.over),
    where,
    each: ((definition["each"] as unknown[] | undefined) ?? []).map(String),
    against: text("against", NEW_RULE.against) as RuleForm["against"],
    warning: text("warning", ""),
    critical: text("critical", ""),
    holds: text("for", NEW_RULE.holds),
    noData: text("no_data", NEW_RULE.noData) as RuleForm["noData"],
    kept: { ...Object.fromEntries(rest), ...(Object.keys(others).length && { where: others }) },
  };
}

/** What is to be set. */
export function ruleOf(form: RuleForm): Definition {
  const where = { ...(form.kept["where"] as Definition | undefined), ...filtersOf(form.where) };
  return {
    ...form.kept,
    name: form.name.trim(),
    measure: form.measure,
    over: form.over.trim(),
    ...(Object.keys(where).length && { where }),
    ...(form.each.length && { each: form.each }),
    ...(form.against !== "none" && { against: form.against }),
    ...(form.warning.trim() && { warning: form.warning.trim() }),
    ...(form.critical.trim() && { critical: form.critical.trim() }),
    for: form.holds.trim(),
    no_data: form.noData,
  };
}

/** `cost over 10m of each feature, of team core: warning > 20, critical > 50, for 5m`. */
export function ruleWords(form: RuleForm): string {
  const each = form.each.length ? ` of each ${form.each.map(nameInText).join(" and ")}` : "";
  const where = form.where.length ? `, only ${form.where.join(", ")}` : "";
  const against = form.against === "none" ? "" : ` ${AGAINST[form.against]}`;
  const bounds = [form.warning && `warning ${form.warning}`, form.critical && `critical ${form.critical}`].filter(Boolean).join(", ");
  const holds = /^0+[a-z]$/.test(form.holds) ? "" : ` for ${form.holds}`;
  return `${measureInText(form.measure)} over ${form.over}${each}${where}${against}: ${bounds}${holds}`;
}

/** Filters that are values, as pairs; and all others. */
function whereOf(where: Definition): [string[], Definition] {
  const values = Object.entries(where).map(([name, wanted]) => [name, valuesIn(wanted)] as const);
  const pairs = pairsOf(Object.fromEntries(values.filter(([, found]) => found !== null)));
  const others = values.filter(([, found]) => found === null).map(([name]) => [name, where[name]]);
  return [pairs, Object.fromEntries(others) as Definition];
}

function valuesIn(wanted: unknown): unknown {
  if (typeof wanted !== "object" || wanted === null) return wanted === null ? null : [wanted];
  const names = Object.keys(wanted);
  return names.length === 1 && names[0] === "in" ? (wanted as Definition)["in"] : null;
}

function filtersOf(pairs: string[]): Definition {
  const grouped = Object.entries(groupedPairs(pairs));
  return Object.fromEntries(grouped.map(([name, values]) => [name, values.length === 1 ? values[0] : { in: values }]));
}
