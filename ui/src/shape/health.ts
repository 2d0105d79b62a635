/** What is wrong with a server, in sentences. */

import type { Status } from "../api/types";

/** Its problems, and the jobs whose last turn failed: what depends on those is late, though the server takes calls. */
export function wrongNow(now: Pick<Status, "problems" | "jobs">): string[] {
  const failing = Object.entries(now.jobs).flatMap(([name, job]) =>
    job["last_error"] ? [`${name.replaceAll("_", " ")} fails: ${String(job["last_error"])}`] : [],
  );
  return [...now.problems, ...failing];
}
