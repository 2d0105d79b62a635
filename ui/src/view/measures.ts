/** What can be measured, how it is said, and whether its groups add up. */

export type Kind = "money" | "cents" | "count" | "share" | "milliseconds" | "number";

export interface Measure {
  label: string;
  kind: Kind;
  /** Whether the whole is the sum of its parts; rates, percentiles and distinct users are not. */
  adds: boolean;
}

const sum = (label: string, kind: Kind): Measure => ({ label, kind, adds: true });
const rate = (label: string, kind: Kind): Measure => ({ label, kind, adds: false });

export const MEASURES = {
  cost_usd: sum("Cost", "money"),
  calls: sum("Calls", "count"),
  total_tokens: sum("Tokens", "count"),
  input_tokens: sum("Input tokens", "count"),
  output_tokens: sum("Output tokens", "count"),
  cache_read_tokens: sum("Tokens read from cache", "count"),
  cache_write_5m_tokens: sum("Tokens written to cache", "count"),
  cache_write_1h_tokens: sum("Tokens written to cache for an hour", "count"),
  reasoning_tokens: sum("Reasoning tokens", "count"),
  input_audio_tokens: sum("Audio tokens in", "count"),
  output_audio_tokens: sum("Audio tokens out", "count"),
  input_image_tokens: sum("Image tokens in", "count"),
  output_image_tokens: sum("Image tokens out", "count"),
  input_video_tokens: sum("Video tokens in", "count"),
  cache_read_audio_tokens: sum("Audio tokens read from cache", "count"),
  cost_per_call: rate("Cost per call", "money"),
  cost_per_1000_output_tokens_usd: rate("Cost per 1,000 output tokens", "money"),
  cost_input_usd: sum("Cost of input", "money"),
  cost_cache_read_usd: sum("Cost of cache reads", "money"),
  cost_cache_write_usd: sum("Cost of cache writes", "money"),
  cost_output_usd: sum("Cost of output", "money"),
  cost_other_usd: sum("Cost of the rest", "money"),
  input_cost_share: rate("Input's share of the cost", "share"),
  retry_cost_usd: sum("Cost of retries", "money"),
  retry_cost_share: rate("Retries' share of the cost", "share"),
  failed_cost_usd: sum("Cost of failed calls", "money"),
  cancelled_cost_usd: sum("Cost of abandoned calls", "money"),
  cache_saving_usd: sum("Saved by caching", "money"),
  cache_read_saving_usd: sum("Saved by cache reads", "money"),
  cache_write_surcharge_usd: sum("Surcharge of cache writes", "money"),
  cache_hit_rate: rate("Cache hit rate", "share"),
  cache_hits: sum("Calls with a cache hit", "count"),
  cache_hit_calls_rate: rate("Share of calls with a cache hit", "share"),
  errors: sum("Errors", "count"),
  error_rate: rate("Error rate", "share"),
  failed_calls: sum("Failed calls", "count"),
  cancelled_calls: sum("Abandoned calls", "count"),
  retries: sum("Retries", "count"),
  retry_rate: rate("Retry rate", "share"),
  refused: sum("Refused by limits", "count"),
  cached_calls: sum("Answered from the response cache", "count"),
  input_tokens_per_call: rate("Input tokens per call", "number"),
  output_tokens_per_call: rate("Output tokens per call", "number"),
  latency_ms_p50: rate("Latency, median", "milliseconds"),
  latency_ms_p90: rate("Latency, p90", "milliseconds"),
  latency_ms_p95: rate("Latency, p95", "milliseconds"),
  latency_ms_p99: rate("Latency, p99", "milliseconds"),
  time_to_first_token_ms_p50: rate("Time to first token, median", "milliseconds"),
  time_to_first_token_ms_p90: rate("Time to first token, p90", "milliseconds"),
  time_to_first_token_ms_p95: rate("Time to first token, p95", "milliseconds"),
  time_to_first_token_ms_p99: rate("Time to first token, p99", "milliseconds"),
  users: rate("Users", "count"),
  unpriced_calls: sum("Unpriced calls", "count"),
  unpriced_tokens: sum("Unpriced tokens", "count"),
  estimated_calls: sum("Estimated calls", "count"),
} as const satisfies Record<string, Measure>;
export type MeasureName = keyof typeof MEASURES;

/** In the middle of a sentence; what is not known as it is named. */
export function measureInText(name: string): string {
  const known: Record<string, Measure> = MEASURES;
  const label = Object.hasOwn(known, name) ? known[name]!.label : name;
  return label.charAt(0).toLowerCase() + label.slice(1);
}
