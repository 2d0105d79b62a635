import { expect, it, vi } from "vitest";

import { untilThere } from "./lazily";

it("a part of the page is asked for until the server gives it", async () => {
  vi.useFakeTimers();
  const load = vi.fn().mockRejectedValueOnce(new TypeError("Failed to fetch")).mockRejectedValueOnce(new TypeError("Failed to fetch")).mockResolvedValue("the part");
  const part = untilThere(load);
  await vi.advanceTimersByTimeAsync(10_000);
  vi.useRealTimers();
  expect(await part).toBe("the part");
  expect(load).toHaveBeenCalledTimes(3);
});
