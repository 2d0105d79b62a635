import { hashKey, type UseQueryResult } from "@tanstack/react-query";

import { useAnswer } from "../api/useAnswer";
import { asked, type LiveQuestion } from "./question";

/** Time passes although nothing happens: what was spent in the last minutes changes by itself. */
const OLDEST_MS = 30_000;

/** A query that follows the live stream. While its key changes, the answer to the key before stays on the screen, if it has the same kind of rows. */
export function useLiveQuery<T>(question: LiveQuestion<T>): UseQueryResult<T> {
  const { paceSeconds, rows, still = false, waits = false } = question;
  return useAnswer<T>({
    ...asked(question),
    enabled: !waits,
    refetchInterval: !still && Math.max(OLDEST_MS, paceSeconds * 1000),
    placeholderData: (previous: T | undefined, of) => (hashKey([of?.meta?.["rows"]]) === hashKey([rows]) ? previous : undefined) as never,
  });
}
