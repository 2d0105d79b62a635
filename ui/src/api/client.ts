/** The one place that talks HTTP. */

import type { Answer, EventPage, Question } from "./types";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly hint: string | null,
  ) {
    super(message);
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

export function ask(question: Question): Promise<Answer> {
  return call<Answer>("/api/v1/query", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
  });
}

export function lastCalls(limit: number, filters: Record<string, string> = {}): Promise<EventPage> {
  return call<EventPage>(`/api/v1/events?${new URLSearchParams({ ...filters, limit: String(limit) })}`);
}
