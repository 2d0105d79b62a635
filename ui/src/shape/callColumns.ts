/** Columns that the list of calls can have besides its own, kept in this browser. */

import type { Call } from "../api/types";
import { milliseconds } from "../format";

const KEY = "taximeter.columns";

export const MORE_COLUMNS = {
  team: { label: "Team", of: (call: Call) => call.team },
  tenant: { label: "Tenant", of: (call: Call) => call.tenant },
  environment: { label: "Environment", of: (call: Call) => call.environment },
  endpoint: { label: "Endpoint", of: (call: Call) => call.endpoint },
  prompt_version: { label: "Prompt version", of: (call: Call) => call.prompt_version },
  session_id: { label: "Session", of: (call: Call) => call.session_id },
  api_key_id: { label: "Key", of: (call: Call) => call.api_key_id },
  provider: { label: "Provider", of: (call: Call) => call.provider },
  time_to_first_token_ms: { label: "First token", of: (call: Call) => (call.time_to_first_token_ms == null ? null : milliseconds(call.time_to_first_token_ms)) },
} as const;
export type MoreColumn = keyof typeof MORE_COLUMNS;

type Kept = Pick<Storage, "getItem" | "setItem">;

/** In the order of the list; what cannot be read is as if nothing were kept. */
export function keptColumns(kept: Kept): MoreColumn[] {
  try {
    const found: unknown = JSON.parse(kept.getItem(KEY) ?? "[]");
    return inOrder(Array.isArray(found) ? found : []);
  } catch {
    return [];
  }
}

/** The columns with one more, or one less. A full or forbidden storage keeps nothing. */
export function toggled(kept: Kept, columns: MoreColumn[], column: MoreColumn): MoreColumn[] {
  const next = inOrder(columns.includes(column) ? columns.filter((one) => one !== column) : [...columns, column]);
  try {
    kept.setItem(KEY, JSON.stringify(next));
  } catch {
    // The choice holds for as long as the page does.
  }
  return next;
}

function inOrder(names: unknown[]): MoreColumn[] {
  return (Object.keys(MORE_COLUMNS) as MoreColumn[]).filter((name) => names.includes(name));
}
