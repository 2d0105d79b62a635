/** A workload of the calculator, what might become of it, and that of one's own calls. */

import type { CalculatorWish, Row } from "../api/types";

export interface Workload {
  model: string;
  compare: string[];
  input_tokens: number;
  output_tokens: number;
  calls_per_day: number;
  /** Of the input, percent read from caches. */
  cached: number;
  /** The text of a price file, in place of the server's own book. */
  prices: string | null;
}

/** What might become of a workload. */
export interface Scenario {
  /** More calls a day, in percent; fewer when negative. */
  growth: number;
  inputTimes: number;
  outputTimes: number;
  /** Another model; "" is the same. */
  model: string;
}

export const SAME: Scenario = { growth: 0, inputTimes: 1, outputTimes: 1, model: "" };

export function wishOf({ cached, prices, ...workload }: Workload): CalculatorWish {
  return { ...workload, cached_share: String(cached / 100), ...(prices !== null && { prices }) };
}

/** Tokens and calls are whole: what comes between is rounded. */
export function supposed(workload: Workload, { growth, inputTimes, outputTimes, model }: Scenario): Workload {
  return {
    ...workload,
    model: model.trim() || workload.model,
    compare: [],
    input_tokens: Math.round(workload.input_tokens * inputTimes),
    output_tokens: Math.round(workload.output_tokens * outputTimes),
    calls_per_day: Math.round((workload.calls_per_day * (100 + growth)) / 100),
  };
}

export const OWN_MEASURES = ["calls", "input_tokens", "output_tokens", "cache_read_tokens"];

/** The average call of a time of so many days, as a workload; null when there were none. */
export function ownWorkload(totals: Row, days: number): Pick<Workload, "input_tokens" | "output_tokens" | "calls_per_day" | "cached"> | null {
  const [calls, input, output, cached] = OWN_MEASURES.map((measure) => Number(totals[measure] ?? 0)) as [number, number, number, number];
  if (!calls) return null;
  return {
    input_tokens: Math.round(input / calls),
    output_tokens: Math.round(output / calls),
    calls_per_day: Math.max(1, Math.round(calls / days)),
    cached: input ? Math.round((100 * cached) / input) : 0,
  };
}
