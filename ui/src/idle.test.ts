import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { whenIdle } from "./idle";

// Node has no idle moments, as Safari: pieces are tasks one after the other there.
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("each piece has a moment of its own, in the order they came", async () => {
  const done: string[] = [];
  for (const name of ["first", "second", "third"]) whenIdle(() => done.push(name));
  expect(done).toEqual([]);
  await vi.advanceTimersToNextTimerAsync();
  expect(done).toEqual(["first"]);
  await vi.runAllTimersAsync();
  expect(done).toEqual(["first", "second", "third"]);
});

it("a piece that is taken back is not done, and does not hold up the others", async () => {
  const [taken, other] = [vi.fn(), vi.fn()];
  const takeBack = whenIdle(taken);
  whenIdle(other);
  takeBack();
  await vi.runAllTimersAsync();
  expect(taken).not.toHaveBeenCalled();
  expect(other).toHaveBeenCalledOnce();
});

it("a piece that adds another one is followed by it", async () => {
  const after = vi.fn();
  whenIdle(() => whenIdle(after));
  await vi.runAllTimersAsync();
  expect(after).toHaveBeenCalledOnce();
});

it("a piece that fails does not keep the ones behind it", async () => {
  const after = vi.fn();
  whenIdle(() => {
    throw new Error("broken");
  });
  whenIdle(after);
  await vi.runAllTimersAsync().catch(() => undefined);
  await vi.runAllTimersAsync();
  expect(after).toHaveBeenCalledOnce();
});
