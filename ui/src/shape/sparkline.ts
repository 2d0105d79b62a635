/** A row of amounts as a line in a small box. Pure. */

import type { Row } from "../api/types";
import { bucketOf, rowKey } from "./series";

const EDGE = 1.5;

/** From left to right; nothing at the bottom, the most at the top. */
export function sparkPath(amounts: number[], width: number, height: number): string {
  const most = Math.max(...amounts, 0);
  const step = (width - 2 * EDGE) / Math.max(1, amounts.length - 1);
  const y = (amount: number) => height - EDGE - (most ? (Math.max(0, amount) / most) * (height - 2 * EDGE) : 0);
  const points = amounts.map((amount, index) => `${rounded(EDGE + index * step)} ${rounded(y(amount))}`);
  return points.length === 1 ? `M${points[0]} H${width - EDGE}` : `M${points.join(" L")}`;
}

function rounded(n: number): number {
  return Math.round(n * 10) / 10;
}

/** Of each group what it cost in every bucket; nothing where it had no calls, or none with a price. */
export function sparks(rows: Row[], dimension: string, buckets: number[]): Map<string, number[]> {
  const position = new Map(buckets.map((start, index) => [start, index]));
  const found = new Map<string, number[]>();
  for (const row of rows) {
    const at = position.get(bucketOf(row));
    if (at === undefined) continue;
    const key = rowKey(row, dimension);
    const amounts = found.get(key) ?? buckets.map(() => 0);
    amounts[at] = Number(row["cost_usd"] ?? 0);
    found.set(key, amounts);
  }
  return found;
}
