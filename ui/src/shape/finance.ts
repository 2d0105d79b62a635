/** What a finance person reads: what is charged to each payer, and what outcomes cost and earned. Pure. */

import type { Row } from "../api/types";
import { counted } from "../format";
import type { Kind } from "../view/measures";
import { csvOf } from "./csv";

export interface Column {
  name: string;
  label: string;
  kind: Kind;
}

const SHARED: Column = { name: "shared_usd", label: "Shared", kind: "money" };

const CHARGED: Column[] = [
  { name: "calls", label: "Calls", kind: "count" },
  { name: "cost_usd", label: "Cost", kind: "money" },
  { name: "markup_usd", label: "Mark-up", kind: "money" },
  SHARED,
  { name: "amount_usd", label: "To pay", kind: "cents" },
];

export const ECONOMICS: Column[] = [
  { name: "outcomes", label: "Outcomes", kind: "count" },
  { name: "value_usd", label: "Worth", kind: "money" },
  { name: "cost_usd", label: "Cost", kind: "money" },
  { name: "cost_per_outcome_usd", label: "Cost per outcome", kind: "money" },
  { name: "margin_usd", label: "Margin", kind: "money" },
  { name: "margin_share", label: "Margin of worth", kind: "share" },
];

/** What is shared has a column only where something is. */
export function chargedColumns(rows: Row[]): Column[] {
  return rows.some((row) => Number(row[SHARED.name])) ? CHARGED : CHARGED.filter((column) => column !== SHARED);
}

/** What is missing in the amounts; empty when they are whole. */
export function missing(coverage: Record<string, unknown>): string[] {
  const [unpriced, unvalued] = ["unpriced_calls", "unvalued_outcomes"].map((name) => Number(coverage[name] ?? 0)) as [number, number];
  return [
    ...(unpriced ? [`${counted(unpriced, "call")} without a price: in no amount.`] : []),
    ...(unvalued ? [`${counted(unvalued, "outcome")} without a value: the margin is at least this.`] : []),
  ];
}

/** All rows and their total, exact. */
export function sheetCsv(names: string[], columns: Column[], rows: Row[], totals: Row): string {
  const numbers = columns.map(({ name }) => name);
  const total = [...names.map((_, index) => (index ? "" : "total")), ...numbers.map((name) => totals[name])];
  return csvOf([[...names, ...numbers], ...rows.map((row) => [...names, ...numbers].map((name) => row[name])), total]);
}
