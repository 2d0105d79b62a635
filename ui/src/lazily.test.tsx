import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { lazily, untilThere } from "./lazily";
import { NewerPage } from "./Mishap";

const away = () => new TypeError("Failed to fetch");

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("a part of the page is asked for until the server gives it", async () => {
  const load = vi.fn().mockRejectedValueOnce(away()).mockRejectedValueOnce(away()).mockResolvedValue("the part");
  const part = untilThere(load, () => Promise.resolve(false));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await part).toBe("the part");
  expect(load).toHaveBeenCalledTimes(3);
});

it("a part of a page that the server has no more is given up", async () => {
  const load = vi.fn().mockRejectedValue(away());
  const isGone = vi.fn().mockResolvedValueOnce(false).mockResolvedValue(true);
  const part = expect(untilThere(load, isGone)).rejects.toBeInstanceOf(NewerPage);
  await vi.advanceTimersByTimeAsync(10_000);
  await part;
  expect(load).toHaveBeenCalledTimes(2);
});

it("a part that is begun early is asked for once", async () => {
  const ask = vi.fn().mockResolvedValue({ default: () => null });
  const part = lazily(ask);
  expect(await part.load()).toBe(await part.load());
  expect(ask).toHaveBeenCalledTimes(1);
});
