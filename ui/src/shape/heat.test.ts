import { expect, test } from "vitest";

import { heat, hourWords, WEEKDAYS } from "./heat";

const HOME = "Europe/Berlin";
const row = (time: string, cost: string | null) => ({ time, cost_usd: cost });

test.each([
  ["2026-11-23T00:30:00Z", "UTC", "Mon", 0],
  ["2026-11-23T00:30:00Z", HOME, "Mon", 1],
  ["2026-11-23T00:30:00Z", "America/New_York", "Sun", 19],
  ["2026-11-22T18:30:00Z", "Asia/Kolkata", "Mon", 0],
  ["2026-10-25T00:30:00Z", HOME, "Sun", 2],
  ["2026-10-25T01:30:00Z", HOME, "Sun", 2], // the same hour again
])("%s is in %s on %s in hour %i", (time, zone, day, hour) => {
  const { cells } = heat([row(time, "1")], "cost_usd", zone);
  expect(cells[WEEKDAYS.indexOf(day as "Mon")]![hour]).toBe("1");
});

test("cells add up exactly, and what has no price is not nothing", () => {
  const rows = [row("2026-10-25T00:00:00Z", "0.1"), row("2026-10-25T01:00:00Z", "0.2"), row("2026-10-24T00:00:00Z", null)];
  const { cells, sums, highest } = heat(rows, "cost_usd", HOME);
  expect(cells[6]![2]).toBe("0.3");
  expect(sums[6]).toBe("0.3");
  expect([cells[5]![2], cells[4]![2]]).toEqual([null, undefined]);
  expect(highest).toBeCloseTo(0.3);
});

test("the last hour ends at midnight", () => expect(hourWords(23)).toBe("23:00 – 00:00"));
