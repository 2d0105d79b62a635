/** Shapes of the API's answers. Money is a decimal string, counts are integers. */

export type Money = string;

export interface Coverage {
  unpriced_calls: number;
  estimated_calls: number;
  late_calls: number;
}

export type Row = Record<string, string | number | boolean | null | undefined>;

export interface Answer {
  rows: Row[];
  totals: Row;
  coverage: Coverage;
}

export interface Question {
  measures: string[];
  group_by?: string[];
  filters?: Record<string, unknown>;
  from: string;
  to?: string;
  interval?: "minute" | "hour" | "day" | "month";
  timezone: string;
  order_by?: string;
  limit?: number;
}

export interface CallEvent {
  event_id: string;
  started_at: string;
  provider: string;
  request_model?: string | null;
  response_model?: string | null;
  operation?: string | null;
  status: string;
  http_status?: number | null;
  error_type?: string | null;
  feature?: string | null;
  user_id?: string | null;
  team?: string | null;
  duration_ms?: number | null;
  time_to_first_token_ms?: number | null;
  input_tokens?: number | null;
  cache_read_tokens?: number | null;
  output_tokens?: number | null;
  usage_estimated?: boolean | null;
  cost_usd?: Money | null;
  unpriced_reason?: string | null;
  source: string;
}

export interface EventPage {
  events: CallEvent[];
  next: string | null;
}
