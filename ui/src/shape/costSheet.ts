/** What a call's cost is made of: quantity, rate and amount of each component. Pure. */

import type { Call, Component, Money } from "../api/types";
import { perMillion } from "../decimal";

export interface CostLine {
  component: Component;
  label: string;
  /** Null when it is not counted in tokens, or not known. */
  tokens: number | null;
  /** What a million of these tokens cost at this rate, worked out from the amount. */
  perMillion: Money | null;
  amount: Money | null;
}

const LABELS: Record<Component, string> = {
  input: "Input, not cached",
  cache_read: "Cache read",
  cache_write: "Cache write",
  output: "Output",
  other: "Other",
};

export function costLines(call: Call): CostLine[] {
  return (Object.keys(LABELS) as Component[]).map((component) => {
    const amount = call.cost?.[component] ?? null;
    const tokens = tokensOf(call, component);
    const rate = amount !== null && tokens ? perMillion(amount, tokens) : null;
    return { component, label: LABELS[component], tokens, perMillion: rate, amount };
  });
}

function tokensOf(call: Call, component: Component): number | null {
  const written = (call.cache_write_5m_tokens ?? 0) + (call.cache_write_1h_tokens ?? 0);
  const read = call.cache_read_tokens ?? 0;
  if (component === "input") return call.input_tokens == null ? null : call.input_tokens - read - written;
  if (component === "cache_read") return read;
  if (component === "cache_write") return written;
  return component === "output" ? (call.output_tokens ?? null) : null;
}

export interface TokenLine {
  label: string;
  tokens: number;
  /** A part of the line above it that is not a part. */
  isPart: boolean;
}

const TOKEN_LINES = [
  ["input_tokens", "Input", false],
  ["cache_read_tokens", "read from cache", true],
  ["cache_write_5m_tokens", "written to cache", true],
  ["cache_write_1h_tokens", "written to cache for an hour", true],
  ["input_audio_tokens", "audio", true],
  ["cache_read_audio_tokens", "audio read from cache", true],
  ["input_image_tokens", "images", true],
  ["input_video_tokens", "video", true],
  ["output_tokens", "Output", false],
  ["reasoning_tokens", "reasoning", true],
  ["output_audio_tokens", "audio", true],
  ["output_image_tokens", "images", true],
] as const;

/** The token classes that were counted. A part of nothing is left out, a whole of nothing is not. */
export function tokenLines(call: Call): TokenLine[] {
  return TOKEN_LINES.flatMap(([name, label, isPart]) => {
    const tokens = call[name];
    return tokens == null || (isPart && tokens === 0) ? [] : [{ label, tokens, isPart }];
  });
}

const REASONS: Record<string, string> = {
  unknown_model: "The price book does not know this model.",
  unknown_provider: "The price book does not know this provider.",
  usage_unknown: "The provider did not say how much was used.",
  no_price_for_tier: "The price book has no price for this service tier.",
  no_price_for_unit: "Something was used that the price book has no price for.",
  no_price_at_date: "The price book has no price for the day of this call.",
  usage_contradicts: "The provider's counts contradict each other.",
  pricing_failed: "Working out the price failed.",
};

export function reasonInWords(reason: string | null | undefined): string {
  return REASONS[reason ?? ""] ?? "It is not known what this cost.";
}
