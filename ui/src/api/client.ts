/** The one place that talks HTTP. */

import type { Definition } from "../shape/limitForm";
import { type Filters, forApi } from "../view/names";
import { addressed } from "../view/sample";
import type {
  Action,
  ActionWish,
  Answer,
  Calculation,
  CalculatorWish,
  Call,
  CallPage,
  Channel,
  ChannelTest,
  ChargebackAnswer,
  ChargebackWish,
  CostHistory,
  ExplainedCost,
  Forecast,
  ForecastWish,
  Incident,
  IncidentPage,
  KeyInfo,
  KeyWish,
  Limit,
  LimitVersion,
  Me,
  NamedAnswer,
  NewKey,
  Question,
  ReconcileAnswer,
  ReconcileWish,
  Repricing,
  RepriceWish,
  Rule,
  RulePreview,
  Runbook,
  SettingsAnswer,
  ShownPrice,
  Silence,
  Simulation,
  SqlStatement,
  Status,
  UnpricedAnswer,
  WhatIfAnswer,
  WhatIfWish,
  WhyAnswer,
  WhyWish,
} from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
    /** What is wrong with a request, by its field. */
    readonly mistakes: Record<string, string> = {},
  ) {
    super(message);
  }

  /** Nobody is signed in here, or somebody who may not look. */
  get isRefusal(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

interface Refusal {
  code?: string;
  message?: string;
  hint?: string | null;
  mistakes?: { field: string; message: string }[];
}

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  await turn();
  const response = await fetch(addressed(path), {
    credentials: "same-origin",
    ...init,
    headers: { accept: "application/json", "x-requested-with": "taximeter", ...init.headers },
  });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const error = (body as { error?: Refusal } | null)?.error;
    throw new ApiError(
      response.status,
      error?.code ?? "error",
      error?.message ?? `The server answered ${response.status}.`,
      error?.hint ?? null,
      Object.fromEntries((error?.mistakes ?? []).map(({ field, message }) => [field, message])),
    );
  }
  return body as T;
}

/** Requests begin one after the other, each as a task of its own: a page of panels asks for a dozen in one go, and the
 * browser takes milliseconds to send each. They go before what is drawn in the meantime, where the browser can tell. */
function turn(): Promise<void> {
  turns = turns.then(() => new Promise(soon));
  return turns;
}

/** Of the browser; Safari has none. */
interface Scheduler {
  postTask(act: () => void, options: { priority: "user-blocking" }): Promise<void>;
}

function soon(begin: () => void): void {
  const { scheduler } = globalThis as { scheduler?: Scheduler };
  if (scheduler) {
    void scheduler.postTask(begin, { priority: "user-blocking" });
    return;
  }
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    begin();
  };
  port2.postMessage(null);
}

let turns = Promise.resolve();

function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

export function whoAmI(): Promise<Me> {
  return call<Me>("/api/v1/me");
}

export function ask(question: Question): Promise<Answer> {
  return post<Answer>("/api/v1/query", { ...question, filters: forApi(question.filters ?? {}) });
}

/** The question as a SELECT over the calls; the time before is not in it. */
export async function asSql({ compare: _, ...question }: Question): Promise<string> {
  return (await post<SqlStatement>("/api/v1/query/sql", { ...question, filters: forApi(question.filters ?? {}) })).sql;
}

/** What a month, or any other time, is charged to each. */
export function chargeback(wish: ChargebackWish): Promise<ChargebackAnswer> {
  return post<ChargebackAnswer>("/api/v1/chargeback", { ...wish, filters: forApi(wish.filters ?? {}) });
}

/** How a provider's bill differs from what was metered. */
export function reconcile(wish: ReconcileWish): Promise<ReconcileAnswer> {
  return post<ReconcileAnswer>("/api/v1/reconcile", wish);
}

/** What was reached, against the cost of the calls of the same groups. */
export function outcomes(filters: Filters, wish: { from: string; to?: string; timezone: string; group_by: string }): Promise<NamedAnswer> {
  return call<NamedAnswer>(`/api/v1/questions/outcomes?${new URLSearchParams({ ...wish, filters: JSON.stringify(forApi(filters)) })}`);
}

export interface CallWish {
  from?: string;
  to?: string;
  timezone?: string;
  limit?: number;
  /** `next` of the page before. */
  cursor?: string;
}

export function calls(filters: Filters, wish: CallWish = {}): Promise<CallPage> {
  const given = Object.entries(wish).map(([name, value]) => [name, String(value)]);
  return call<CallPage>(`/api/v1/events?${new URLSearchParams([...given, ["filters", JSON.stringify(forApi(filters))]])}`);
}

/** Where the server has the calls as a file, with every field. */
export function callFile(filters: Filters, wish: Pick<CallWish, "from" | "to" | "timezone">, format: "csv" | "parquet"): string {
  return addressed(`/api/v1/events/file?${new URLSearchParams({ ...wish, filters: JSON.stringify(forApi(filters)), format })}`);
}

/** One call; null when there is none with this id. */
export async function callById(eventId: string): Promise<Call | null> {
  const { events } = await call<CallPage>(`/api/v1/events?${new URLSearchParams({ event_id: eventId })}`);
  return events[0] ?? null;
}

export function explainCost(eventId: string): Promise<ExplainedCost> {
  return call<ExplainedCost>(`/api/v1/prices/explain?${new URLSearchParams({ event_id: eventId })}`);
}

export function costHistory(eventId: string): Promise<CostHistory> {
  return call<CostHistory>(`/api/v1/prices/history?${new URLSearchParams({ event_id: eventId })}`);
}

/** Rates of a model; `at` is a day or a moment, now when left out. */
export async function prices(wish: { model: string; at?: string; tier?: string }): Promise<ShownPrice[]> {
  const given = Object.entries(wish).filter(([, value]) => value);
  return (await call<{ prices: ShownPrice[] }>(`/api/v1/prices?${new URLSearchParams(given)}`)).prices;
}

export function unpriced(): Promise<UnpricedAnswer> {
  return post<UnpricedAnswer>("/api/v1/prices/unpriced", {});
}

export async function repricings(): Promise<Repricing[]> {
  return (await call<{ repricings: Repricing[] }>("/api/v1/prices/repricings")).repricings;
}

export function reprice(wish: RepriceWish): Promise<Repricing> {
  return post<Repricing>("/api/v1/prices/reprice", wish);
}

export async function keys(): Promise<KeyInfo[]> {
  return (await call<{ keys: KeyInfo[] }>("/api/v1/keys")).keys;
}

export function revokeKey(id: string): Promise<KeyInfo> {
  return call<KeyInfo>(`/api/v1/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
}

export function status(): Promise<Status> {
  return call<Status>("/api/v1/status");
}

export function createKey(wish: Pick<KeyWish, "name" | "scope"> & Partial<KeyWish>): Promise<NewKey> {
  return post<NewKey>("/api/v1/keys", wish);
}

export function why(wish: Partial<WhyWish>): Promise<WhyAnswer> {
  return post<WhyAnswer>("/api/v1/why", { ...wish, filters: forApi(wish.filters ?? {}) });
}

export async function incidents(state: "open" | "all"): Promise<Incident[]> {
  return (await call<{ incidents: Incident[] }>(`/api/v1/alerts?state=${state}`)).incidents;
}

export function incidentPage(id: string): Promise<IncidentPage> {
  return call<IncidentPage>(`/api/v1/alerts/${encodeURIComponent(id)}`);
}

export function acknowledge(id: string): Promise<Incident> {
  return post<Incident>(`/api/v1/alerts/${encodeURIComponent(id)}/acknowledge`, {});
}

/** It is told again. */
export function giveBack(id: string): Promise<Incident> {
  return call<Incident>(`/api/v1/alerts/${encodeURIComponent(id)}/acknowledge`, { method: "DELETE" });
}

export async function actions(id: string): Promise<Action[]> {
  return (await call<{ actions: Action[] }>(`/api/v1/alerts/${encodeURIComponent(id)}/actions`)).actions;
}

/** Without `confirm` only what it would be. */
export function act(id: string, wish: ActionWish): Promise<Action> {
  return post<Action>(`/api/v1/alerts/${encodeURIComponent(id)}/actions`, wish);
}

export function undoAction(id: string, name: string): Promise<null> {
  return call<null>(`/api/v1/alerts/${encodeURIComponent(id)}/actions/${encodeURIComponent(name)}`, { method: "DELETE" });
}

export async function silences(): Promise<Silence[]> {
  return (await call<{ silences: Silence[] }>("/api/v1/silences")).silences;
}

export function endSilence(id: string): Promise<null> {
  return call<null>(`/api/v1/silences/${encodeURIComponent(id)}`, { method: "DELETE" });
}

export function silence(match: Record<string, string>, hours: number): Promise<unknown> {
  const to = new Date(Date.now() + hours * 3_600_000).toISOString();
  return post("/api/v1/silences", { match, to, comment: "from the page" });
}

/** The next ones of its escalation are told now. */
export function escalate(incident: string): Promise<Incident> {
  return post<Incident>(`/api/v1/alerts/${encodeURIComponent(incident)}/escalate`, {});
}

export async function runbooks(): Promise<Runbook[]> {
  return (await call<{ runbooks: Runbook[] }>("/api/v1/runbooks")).runbooks;
}

export async function rules(): Promise<Rule[]> {
  return (await call<{ rules: Rule[] }>("/api/v1/rules")).rules;
}

/** A new rule, or a new version of one. */
export function setRule(definition: Definition): Promise<Rule> {
  return post<Rule>("/api/v1/rules", definition);
}

export function removeRule(name: string): Promise<null> {
  return call<null>(`/api/v1/rules/${encodeURIComponent(name)}`, { method: "DELETE" });
}

/** When a rule would have fired. */
export function previewRule(rule: Definition, since: string): Promise<RulePreview> {
  return post<RulePreview>("/api/v1/rules/preview", { rule, since });
}

export async function limits(): Promise<Limit[]> {
  return (await call<{ limits: Limit[] }>("/api/v1/limits")).limits;
}

/** A new limit, or a new version of the one with its name. */
export function setLimit(definition: Definition): Promise<Limit> {
  return post<Limit>("/api/v1/limits", definition);
}

export function removeLimit(name: string): Promise<null> {
  return call<null>(limitPath(name), { method: "DELETE" });
}

export async function limitHistory(name: string): Promise<LimitVersion[]> {
  return (await call<{ versions: LimitVersion[] }>(`${limitPath(name)}/history`)).versions;
}

export function simulateLimit(limit: Definition, since: string): Promise<Simulation> {
  return post<Simulation>("/api/v1/limits/simulate", { limit, since });
}

function limitPath(name: string): string {
  return `/api/v1/limits/${encodeURIComponent(name)}`;
}

export function calculate(wish: CalculatorWish): Promise<Calculation> {
  return post<Calculation>("/api/v1/calculator", wish);
}

export function whatIf(wish: WhatIfWish): Promise<WhatIfAnswer> {
  return post<WhatIfAnswer>("/api/v1/what-if", { ...wish, filters: forApi(wish.filters ?? {}) });
}

export function forecast(wish: ForecastWish): Promise<Forecast> {
  return post<Forecast>("/api/v1/forecast", { ...wish, filters: forApi(wish.filters ?? {}) });
}

export function settings(): Promise<SettingsAnswer> {
  return call<SettingsAnswer>("/api/v1/settings");
}

export async function channels(): Promise<Channel[]> {
  return (await call<{ channels: Channel[] }>("/api/v1/channels")).channels;
}

export function tryChannel(name: string): Promise<ChannelTest> {
  return post<ChannelTest>(`/api/v1/channels/${encodeURIComponent(name)}/test`, {});
}
