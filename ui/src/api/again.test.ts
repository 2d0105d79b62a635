import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { expect, it } from "vitest";

import { askAgain } from "./again";

it("asks anew while the first answer, from before the change, is still on its way", async () => {
  const waiting: ((answer: string[]) => void)[] = [];
  const queries = new QueryClient();
  const observer = new QueryObserver<string[]>(queries, {
    queryKey: ["runs"],
    queryFn: () => new Promise((answer) => void waiting.push(answer)),
  });
  const leave = observer.subscribe(() => undefined);
  const again = askAgain(queries, ["runs"]);
  await expect.poll(() => waiting.length).toBe(2);
  waiting[1]?.(["the new one"]);
  waiting[0]?.([]);
  await again;
  expect(observer.getCurrentResult().data).toEqual(["the new one"]);
  leave();
});
