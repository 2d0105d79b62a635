/** Asking anew after a change of one's own. */

import type { QueryClient, QueryKey } from "@tanstack/react-query";

/** Also when the first answer is still on its way: it may be older than the change, and would be taken for the newest. */
export async function askAgain(queries: QueryClient, queryKey: QueryKey): Promise<void> {
  await queries.cancelQueries({ queryKey });
  await queries.invalidateQueries({ queryKey });
}
