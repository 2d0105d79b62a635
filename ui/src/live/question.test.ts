import { QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { queries } from "../api/queries";
import { asked, askEarly } from "./question";

const question = (ask: () => Promise<string>) => ({ key: ["spend"], paceSeconds: 1, ask });

/** Somebody begins to look at the answer, and has stopped after a moment. */
async function looked(ask: () => Promise<string>): Promise<string | undefined> {
  const observer = new QueryObserver(queries, asked(question(ask)));
  const stop = observer.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(10);
  stop();
  return observer.getCurrentResult().data;
}

describe("a question that is put before anything is drawn", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    queries.clear();
    vi.useRealTimers();
  });

  it("is not put again by who shows it first, also when that takes a while", async () => {
    const ask = vi.fn(() => Promise.resolve("7"));
    askEarly(queries, question(ask));
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await looked(ask)).toBe("7");
    expect(ask).toHaveBeenCalledTimes(1);
  });

  it("is put again when the answer has waited for too long", async () => {
    const ask = vi.fn(() => Promise.resolve("7"));
    askEarly(queries, question(ask));
    await vi.advanceTimersByTimeAsync(6_000);
    await looked(ask);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it("is put at each look once it was put a second time", async () => {
    const ask = vi.fn(() => Promise.resolve("7"));
    askEarly(queries, question(ask));
    for (const _ of [1, 2, 3]) {
      await vi.advanceTimersByTimeAsync(6_000);
      await looked(ask);
      await vi.advanceTimersByTimeAsync(2_000);
      await looked(ask);
    }
    expect(ask).toHaveBeenCalledTimes(7);
  });

  it("brings what is asked about its answer", async () => {
    const [ask, more] = [vi.fn(() => Promise.resolve("7")), vi.fn(() => Promise.resolve("of 7"))];
    askEarly(queries, { ...question(ask), next: (answer) => [{ key: ["about", answer], paceSeconds: 1, ask: more }] });
    await vi.advanceTimersByTimeAsync(10);
    expect(more).toHaveBeenCalledTimes(1);
  });

  it("leaves it to who shows it to say that it failed", async () => {
    askEarly(queries, { ...question(() => Promise.reject(new Error("no"))), next: () => [] });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(queries.getQueryState(asked(question(() => Promise.resolve(""))).queryKey)?.status).toBe("error");
  });
});
