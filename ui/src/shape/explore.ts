/** What the Explore page asks, and how its answer leaves the page. Pure. */

import type { Answer, Question, Row } from "../api/types";
import { MEASURES } from "../view/measures";
import { choiceOf, type Dimension, filterNames, type Filters, forApi, NOT_SET, type Wanted } from "../view/names";
import { periodOf } from "../view/range";
import { intervalOf, type View } from "../view/state";
import { csvOf } from "./csv";
import { groupName, rowKey } from "./series";

export function dimensionsOf({ by, then }: Pick<View, "by" | "then">): Dimension[] {
  return then ? [by, then] : [by];
}

/** The measure, and what says how far it can be trusted. */
export function measuresOf({ measure }: Pick<View, "measure">): string[] {
  return [...new Set([measure, "calls", ...(MEASURES[measure].kind === "money" ? ["unpriced_calls"] : [])])];
}

/** The groups of the range; `overTime`, one row for each interval. */
export function question(view: View, now: Date, overTime: boolean): Question {
  return {
    measures: measuresOf(view),
    group_by: dimensionsOf(view),
    filters: view.filters,
    ...periodOf(view.range, view.timezone, now),
    timezone: view.timezone,
    order_by: `-${view.measure}`,
    limit: view.top,
    ...(overTime && { interval: intervalOf(view) }),
    ...(view.compare && { compare: "previous_period" }),
  };
}

export interface Line {
  row: Row;
  /** The same group in the time before; undefined when it was not there. */
  before: Row | undefined;
}

export function lines(answer: Answer, dimensions: string[]): Line[] {
  const before = new Map(answer.comparison?.rows.map((row) => [rowKey(row, ...dimensions), row]));
  return answer.rows.map((row) => ({ row, before: before.get(rowKey(row, ...dimensions)) }));
}

/** The filters that leave only the calls of this row; null when they are many groups together. */
export function narrowed(filters: Filters, row: Row, dimensions: Dimension[]): Filters | null {
  if (row["other"]) return null;
  return { ...filters, ...Object.fromEntries(dimensions.map((dimension) => [dimension, groupName(row[dimension])])) };
}

/** RFC 4180, without rounding; what is not known is empty. The time before stands in columns of its own. */
export function csv(answer: Answer, view: Pick<View, "by" | "then" | "measure">): string {
  const dimensions: string[] = dimensionsOf(view);
  const measures = measuresOf(view);
  const isCompared = answer.comparison != null;
  const head = [...dimensions, "other", ...measures, ...(isCompared ? measures.map((name) => `${name}_before`) : [])];
  const body = lines(answer, dimensions).map(({ row, before }) => [
    ...dimensions.map((name) => row[name]),
    row["other"] === true ? "true" : "false",
    ...measures.map((name) => row[name]),
    ...(isCompared ? measures.map((name) => before?.[name]) : []),
  ]);
  return csvOf([head, ...body]);
}

/** Where the server has the rows of the answer as Parquet, without the time before. */
export function parquetAddress(asked: Question): string {
  const { measures, group_by, filters, from, to, timezone, order_by, limit } = asked;
  const lists = { measures: measures.join(","), group_by: group_by?.join(",") };
  const said = { ...lists, from, to, timezone, order_by, limit, filters: JSON.stringify(forApi(filters ?? {})), format: "parquet" };
  const given = Object.entries(said).flatMap(([name, value]) => (value == null ? [] : [[name, String(value)]]));
  return `/api/v1/query?${new URLSearchParams(given)}`;
}

/** The same question for `curl`, to the address of queries; the key comes from the environment. */
export function asCurl(address: string, asked: Question): string {
  return [
    `curl -s ${quoted(address)}`,
    `-H "Authorization: Bearer $TAXIMETER_KEY" -H 'Content-Type: application/json'`,
    `-d ${quoted(JSON.stringify({ ...asked, filters: forApi(asked.filters ?? {}) }))}`,
  ].join(" \\\n  ");
}

/** The same question for the command line. */
export function asCommand(asked: Question, filters: Filters): string {
  const options: [string, string | number | null | undefined][] = [
    ["by", asked.group_by?.join(",")],
    ["measures", asked.measures.join(",")],
    ["since", asked.from],
    ["interval", asked.interval],
    ["tz", asked.timezone],
    ["order-by", asked.order_by],
    ["limit", asked.limit],
    ["compare", asked.compare as string | undefined],
  ];
  const where = filterNames(filters).flatMap((name) => conditions(name, filters[name]!).map((one) => `--where ${quoted(one)}`));
  const said = options.filter(([, value]) => value != null).map(([name, value]) => `--${name}=${quoted(String(value))}`);
  return ["taximeter report", ...said, ...where].join(" ");
}

/** `=` and `!=` given more than once mean any, or none, of the values. */
function conditions(name: string, given: Wanted): string[] {
  const { values, not } = choiceOf(given);
  return values.map((value) => (value === NOT_SET ? (not ? `${name}?` : `!${name}`) : `${name}${not ? "!=" : "="}${value}`));
}

function quoted(text: string): string {
  return /^[\w.,:@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
