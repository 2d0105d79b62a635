/** A limit's definition as fields of a form, and back. What a form does not show of a definition it keeps. */

/** As `POST /api/v1/limits` takes it. */
export type Definition = Record<string, unknown>;

export const ATTRIBUTES = ["user", "team", "tenant", "feature", "endpoint", "key", "model", "environment", "service", "provider"] as const;
export const MEASURES = {
  cost_usd: "US dollars",
  total_tokens: "tokens",
  input_tokens: "input tokens",
  output_tokens: "output tokens",
  requests: "requests",
  concurrent: "calls at once",
} as const;
export const WINDOWS = ["minute", "hour", "day", "week", "month", "rolling", "lifetime"] as const;
export const ACTIONS = {
  block: "refuse the call",
  cut: "refuse it, cut running streams",
  downgrade: "answer from a cheaper model",
  throttle: "slow down to a rate",
  notify: "only tell",
} as const;

export interface Raise {
  by: string | number;
  until: string;
  for?: string;
}

export interface LimitForm {
  name: string;
  /** `feature=chat`: values that a call must have. Several of one attribute are alternatives. */
  where: string[];
  /** Attributes whose every value has the amount for itself. */
  each: string[];
  measure: keyof typeof MEASURES;
  amount: string;
  window: (typeof WINDOWS)[number];
  /** How long a rolling window is: `24h`. */
  rolling: string;
  timezone: string;
  mode: "hard" | "soft";
  action: keyof typeof ACTIONS;
  /** The model of `downgrade`, the rate of `throttle`. */
  actionTarget: string;
  warnAt: string[];
  /** `user_7=500`: amounts of some values of `each`. */
  overrides: string[];
  raises: Raise[];
  /** Of the definition, what is not in a field. */
  kept: Definition;
}

const SHOWN = ["name", "scope", "each", "measure", "limit", "window", "timezone", "mode", "action", "warn_at", "overrides", "raises"];

export const NEW_LIMIT: LimitForm = {
  name: "",
  where: [],
  each: [],
  measure: "cost_usd",
  amount: "",
  window: "day",
  rolling: "24h",
  timezone: "UTC",
  mode: "hard",
  action: "block",
  actionTarget: "",
  warnAt: ["80", "100"],
  overrides: [],
  raises: [],
  kept: {},
};

/** The form of a definition as the API writes it. */
export function formOf(definition: Definition): LimitForm {
  const { scope, each, window, action } = definition;
  const [kind, target] = actionOf(action);
  const rolls = typeof window === "object" && window !== null;
  return {
    ...NEW_LIMIT,
    name: String(definition["name"]),
    where: typeof scope === "object" ? pairsOf(scope) : [],
    each: Array.isArray(each) ? each.map(String) : [],
    measure: definition["measure"] as LimitForm["measure"],
    amount: String(definition["limit"]),
    window: rolls ? "rolling" : ((window as LimitForm["window"] | undefined) ?? "day"),
    rolling: rolls ? String((window as Definition)["rolling"]) : NEW_LIMIT.rolling,
    timezone: String(definition["timezone"] ?? NEW_LIMIT.timezone),
    mode: definition["mode"] as LimitForm["mode"],
    action: kind,
    actionTarget: target,
    warnAt: ((definition["warn_at"] as unknown[] | undefined) ?? []).map(String),
    overrides: pairsOf(definition["overrides"]),
    raises: (definition["raises"] as Raise[] | undefined) ?? [],
    kept: Object.fromEntries(Object.entries(definition).filter(([key]) => !SHOWN.includes(key))),
  };
}

/** What is to be set. A mode that was changed takes its own action along. */
export function definitionOf(form: LimitForm): Definition {
  return {
    ...form.kept,
    name: form.name.trim(),
    scope: form.where.length ? groupedPairs(form.where) : "global",
    ...(form.each.length && { each: form.each }),
    measure: form.measure,
    limit: form.amount.trim() || null,
    ...(form.measure !== "concurrent" && { window: form.window === "rolling" ? { rolling: form.rolling } : form.window, timezone: form.timezone }),
    mode: form.mode,
    action: actionIn(form),
    warn_at: form.warnAt.map(Number),
    ...(form.overrides.length && { overrides: Object.fromEntries(form.overrides.map(amountOf)) }),
    ...(form.raises.length && { raises: form.raises }),
  };
}

/** The mode and an action that goes with it: a soft limit only tells. */
export function withMode(form: LimitForm, mode: LimitForm["mode"]): LimitForm {
  const keeps = (mode === "soft") === (form.action === "notify");
  return { ...form, mode, action: keeps ? form.action : mode === "soft" ? "notify" : "block" };
}

/** `feature=chat`, or null when there is no value in it. */
export function isPair(text: string): boolean {
  return /^[^=\s]+=.+$/.test(text);
}

function actionOf(action: unknown): [LimitForm["action"], string] {
  if (typeof action !== "object" || action === null) return [(action as LimitForm["action"] | undefined) ?? "block", ""];
  const [kind, target] = Object.entries(action)[0]!;
  return [kind as LimitForm["action"], String(target)];
}

function actionIn({ action, actionTarget }: LimitForm): unknown {
  return action === "downgrade" || action === "throttle" ? { [action]: actionTarget.trim() } : action;
}

export function pairsOf(values: unknown): string[] {
  return Object.entries(values ?? {}).flatMap(([name, value]) => [value].flat().map((one) => `${name}=${String(one)}`));
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}

/** A value may have a "=" in it, an amount has none. */
function amountOf(text: string): [string, string] {
  const at = text.lastIndexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}

export function groupedPairs(pairs: string[]): Record<string, string[]> {
  const grouped: Record<string, string[]> = {};
  for (const [name, value] of pairs.map(pairOf)) (grouped[name] ??= []).push(value);
  return grouped;
}

/** `each user with feature chat`, `everybody`. */
export function scopeWords({ where, each }: Pick<LimitForm, "where" | "each">): string {
  const whose = each.length ? `each ${each.join(" and ")}` : where.length ? "" : "everybody together";
  const among = where.map((pair) => pairOf(pair).join(" ")).join(", ");
  return [whose, among && (whose ? `of ${among}` : among)].filter(Boolean).join(" ");
}

/** `a day`, `24h`, `for good`; calls at once have none. */
export function windowWords({ measure, window, rolling }: Pick<LimitForm, "measure" | "window" | "rolling">): string {
  if (measure === "concurrent") return "";
  if (window === "rolling") return `in any ${rolling}`;
  return window === "lifetime" ? "for good" : `${window === "hour" ? "an" : "a"} ${window}`;
}
