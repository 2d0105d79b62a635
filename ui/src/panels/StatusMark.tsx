import type { Call } from "../api/types";

/** A dot and a word: quiet when all is well. */
export function StatusMark({ call }: { call: Pick<Call, "status" | "http_status" | "error_type"> }) {
  const code = call.status === "error" && call.http_status ? ` ${call.http_status}` : "";
  return (
    <span className="status" data-status={call.status} title={call.error_type ?? undefined}>
      {call.status}
      {code}
    </span>
  );
}
