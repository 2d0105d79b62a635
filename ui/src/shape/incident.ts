/** What an alert knows of its trouble, as the server wrote it down when it looked. Pure. */

export interface Known {
  /** Names and what was seen of them, such as what was expected. */
  shown: [string, string][];
  /** USD, exact; how much more than expected it costs. */
  usdPerHour: string | null;
  /** Who is behind it, in words, the largest first. */
  contributors: string[];
  /** What to do first. */
  action: string | null;
  chart: Hours | null;
}

/** Bars, the oldest first; those from `since` on belong to the incident. */
export interface Hours {
  caption: string;
  values: number[];
  since: number;
  /** The least and the most of the days before at the hour of each bar; null where that is not known. */
  usual: ([number, number] | null)[];
}

export function known(facts: Record<string, unknown>): Known {
  return {
    shown: listOf(facts["shown"]).filter((one): one is [string, string] => Array.isArray(one) && one.length === 2),
    usdPerHour: textOf(facts["usd_per_hour"]),
    contributors: listOf(facts["contributors"]).filter((one): one is string => typeof one === "string"),
    action: textOf(facts["action"]),
    chart: chartOf(facts["chart"]),
  };
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value ? value : null;
}

function chartOf(value: unknown): Hours | null {
  const { caption, values, since, usual } = (value ?? {}) as Partial<Hours>;
  const isDrawn = typeof caption === "string" && typeof since === "number" && Array.isArray(values) && values.some(Boolean);
  return isDrawn ? { caption, values, since, usual: listOf(usual).map((one) => (Array.isArray(one) ? (one as [number, number]) : null)) } : null;
}
