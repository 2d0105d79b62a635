import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { LIVE, Refresher, tookMs } from "./refresher";

/** A live query on the screen, and how often it asked. */
function shown(queries: QueryClient, name: string, paceSeconds: number) {
  const ask = vi.fn(() => Promise.resolve(name));
  new QueryObserver(queries, { queryKey: [LIVE, name], queryFn: ask, meta: { paceSeconds } }).subscribe(() => {});
  return ask;
}

describe("live queries", () => {
  let queries: QueryClient;
  let refresher: Refresher;
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("document", { hidden: false });
    queries = new QueryClient();
    refresher = new Refresher(queries);
  });
  afterEach(() => {
    refresher.stop();
    queries.clear();
    tookMs.clear();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  async function newsEvery(ms: number, times: number) {
    for (let time = 0; time < times; time++) {
      await vi.advanceTimersByTimeAsync(ms);
      refresher.news();
    }
    await vi.advanceTimersByTimeAsync(0);
  }

  it("ask at once when all was quiet", async () => {
    const ask = shown(queries, "now", 1);
    await newsEvery(5_000, 1);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it("ask at most once a second, however many ticks come", async () => {
    const ask = shown(queries, "now", 1);
    await newsEvery(100, 100);
    expect(ask.mock.calls.length).toBeGreaterThanOrEqual(9);
    expect(ask.mock.calls.length).toBeLessThanOrEqual(11);
  });

  it("of a slow range ask at their own pace", async () => {
    const ask = shown(queries, "month", 10);
    await newsEvery(100, 250);
    expect(ask).toHaveBeenCalledTimes(3);
  });

  it("see the last news, also when it came during a pause", async () => {
    const ask = shown(queries, "month", 10);
    await newsEvery(100, 1);
    expect(ask).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(ask).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it("rest longer when they took long", async () => {
    const ask = shown(queries, "now", 1);
    await vi.advanceTimersByTimeAsync(0);
    tookMs.set(JSON.stringify([LIVE, "now"]), 2_000);
    await newsEvery(100, 100);
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it("wait while nobody looks", async () => {
    const ask = shown(queries, "now", 1);
    vi.stubGlobal("document", { hidden: true });
    await newsEvery(1_000, 5);
    expect(ask).toHaveBeenCalledTimes(1);
    vi.stubGlobal("document", { hidden: false });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(ask).toHaveBeenCalledTimes(2);
  });
});
