/** The one place that talks HTTP. */

import type { Filters } from "../view/state";
import type { Answer, Call, CallPage, KeyWish, Me, NewKey, Question } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
  ) {
    super(message);
  }

  /** Nobody is signed in here, or somebody who may not look. */
  get isRefusal(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

async function call<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(path, {
    credentials: "same-origin",
    ...init,
    headers: { accept: "application/json", "x-requested-with": "taximeter", ...init.headers },
  });
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) {
    const error = (body as { error?: { code?: string; message?: string; hint?: string | null } } | null)?.error;
    throw new ApiError(
      response.status,
      error?.code ?? "error",
      error?.message ?? `The server answered ${response.status}.`,
      error?.hint ?? null,
    );
  }
  return body as T;
}

function post<T>(path: string, body: unknown): Promise<T> {
  return call<T>(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

export function whoAmI(): Promise<Me> {
  return call<Me>("/api/v1/me");
}

export function ask(question: Question): Promise<Answer> {
  return post<Answer>("/api/v1/query", question);
}

export function calls(filters: Filters & { from?: string; timezone?: string; limit?: number }): Promise<CallPage> {
  const given = Object.entries(filters).map(([name, value]) => [name, String(value)]);
  return call<CallPage>(`/api/v1/events?${new URLSearchParams(given)}`);
}

/** One call; null when there is none with this id. */
export async function callById(eventId: string): Promise<Call | null> {
  const { events } = await call<CallPage>(`/api/v1/events?${new URLSearchParams({ event_id: eventId })}`);
  return events[0] ?? null;
}

export function createKey(wish: Pick<KeyWish, "name" | "scope">): Promise<NewKey> {
  return post<NewKey>("/api/v1/keys", wish);
}
