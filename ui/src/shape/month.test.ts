import { expect, test } from "vitest";

import type { Forecast } from "../api/types";
import { curve } from "./month";

const at = (iso: string) => Date.parse(iso) / 1000;
const TOLD = {
  from: "2026-11-01T00:00:00Z",
  at: "2026-11-03T12:00:00Z",
  to: "2026-12-01T00:00:00Z",
  forecast_usd: "30",
  low_usd: "20",
  high_usd: "50",
} as unknown as Forecast;
const ROWS = [
  { time: "2026-11-01T00:00:00Z", cost_usd: "1.5" },
  { time: "2026-11-02T00:00:00Z", cost_usd: null },
  { time: "2026-11-03T00:00:00Z", cost_usd: "2" },
];

test("what is spent goes on to what is expected, between low and high", () => {
  const { times, spent, expected, low, high } = curve(ROWS, TOLD);
  expect(times).toEqual(["2026-11-01", "2026-11-02", "2026-11-03", TOLD.at, TOLD.to].map(at));
  expect(spent).toEqual([0, 1.5, 1.5, 3.5, null]);
  expect(expected).toEqual([null, null, null, 3.5, 30]);
  expect([low.at(-1), high.at(-1)]).toEqual([20, 50]);
});

test("days without calls are flat", () => {
  const { times, spent } = curve(ROWS.slice(2), TOLD);
  expect(times).toEqual(["2026-11-01", "2026-11-03", TOLD.at, TOLD.to].map(at));
  expect(spent).toEqual([0, 0, 2, null]);
});

test("without a forecast only what is spent is drawn", () => {
  const { expected, high } = curve(ROWS, { ...TOLD, forecast_usd: null, low_usd: null, high_usd: null });
  expect([...expected, ...high].every((value) => value === null)).toBe(true);
});
