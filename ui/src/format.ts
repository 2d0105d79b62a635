/** How amounts, counts and times are shown. Money arrives as an exact decimal string and is rounded here only. */

import { roundDecimal } from "./decimal";
import type { Kind } from "./view/measures";
import { formatter, type Interval } from "./view/zone";

/** `$1,234.57`, `$0.0034` (two significant digits below ten cents), `$0`; an unknown amount is a dash, never zero. */
export function money(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return "–";
  if (Number(amount) === 0) return "$0";
  // Rounding may reach the next power of ten, which has one place less: `$0.10`, not `$0.100`.
  return dollars(roundDecimal(amount, placesOf(roundDecimal(amount, placesOf(amount)))));
}

const MOST_PLACES = 12;

/** Places behind the point that an amount is shown with. */
function placesOf(amount: string, significant = 2): number {
  const magnitude = Math.abs(Number(amount));
  return Math.min(MOST_PLACES, Math.max(2, significant - 1 - Math.floor(Math.log10(magnitude))));
}

function dollars(decimal: string): string {
  const [whole = "0", fraction] = decimal.replace("-", "").split(".");
  const sign = decimal.startsWith("-") ? MINUS : "";
  return `${sign}$${whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",")}${fraction ? `.${fraction}` : ""}`;
}

const MINUS = "−";

/** A difference: `+$3.00`, `−$2.50`, `$0`. */
export function signedMoney(amount: string | null | undefined): string {
  return (Number(amount) > 0 ? "+" : "") + money(amount);
}

/** What is paid: cents, whatever it is. */
export function cents(amount: string | null | undefined): string {
  return amount === null || amount === undefined ? "–" : dollars(roundDecimal(amount, 2));
}

/** A price to its last digit, but at least in cents: `$2.50`, `$0.0125`. */
export function listedMoney(amount: string): string {
  const [whole, fraction = ""] = amount.split(".");
  return dollars(`${whole}.${fraction.padEnd(2, "0")}`);
}

/** What one of many costs, precise enough to be multiplied: four significant digits, `$0.0125`. */
export function unitMoney(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return "–";
  return Number(amount) === 0 ? "$0" : listedMoney(roundDecimal(amount, placesOf(amount, 4)).replace(/(\.\d*?)0+$/, "$1"));
}

/** The labels of an axis, all with the places that its steps need: `$0.05`, `$150`, `$2.5M`. */
export function axisMoney(ticks: number[]): string[] {
  const step = Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0));
  if (Math.max(...ticks.map(Math.abs)) >= 100_000) return ticks.map((tick) => dollars(String(tick)).replace(/[\d.,]+/, () => compact(Math.abs(tick))));
  const places = step >= 1 && Number.isInteger(step) ? 0 : Math.min(MOST_PLACES, Math.max(2, Math.ceil(-Math.log10(step || 1) - 1e-9)));
  return ticks.map((tick) => (tick === 0 ? "$0" : dollars(roundDecimal(tick.toFixed(MOST_PLACES), places))));
}

const SMALLEST_SHOWN = "0.00001";

/** As `money`, for narrow places: large amounts are rounded to dollars, `$16,250`, larger ones further, `$12.3M`; of what
 * is smaller than a thousandth of a cent only that is said. */
export function shortMoney(amount: string | null | undefined): string {
  const magnitude = Math.abs(Number(amount ?? 0));
  if (amount != null && magnitude >= 1_000_000) return dollars(amount).replace(/[\d.,]+/, () => compact(magnitude));
  if (amount != null && magnitude >= 10_000) return dollars(roundDecimal(amount, 0));
  return magnitude > 0 && magnitude < Number(SMALLEST_SHOWN) ? `<$${SMALLEST_SHOWN}` : money(amount);
}

/** As `money`, from a hundred dollars on in whole ones: an estimate has no cents. */
export function roundMoney(amount: string | null | undefined): string {
  if (amount == null || Math.abs(Number(amount)) < 100) return money(amount);
  return money(roundDecimal(amount, 0)).replace(/\.00$/, "");
}

/** The amount to its last digit, for titles and cost sheets. */
export function exactMoney(amount: string | null | undefined): string {
  return amount === null || amount === undefined ? "not priced" : `$${amount}`.replace("$-", `${MINUS}$`);
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : WHOLE().format(n);
}

/** Made when the first number is shown: that takes longer than all else the module does. */
const WHOLE = once(() => new Intl.NumberFormat("en-US"));
const COMPACT = once(() => new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }));

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** `1 call`, `1,234 calls`. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** An amount of a limit, in the unit of its measure. */
export function limitAmount(value: string | number, measure: string): string {
  return measure === "cost_usd" ? money(String(value)) : count(Number(value));
}

/** `950`, `12.3k`, `4.6M`: for places where a rough size is enough. */
export function compact(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  return COMPACT().format(n);
}

/** `0 B`, `12.3 kB`, `5.4 MB`. */
export function bytes(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  const step = Math.min(BYTE_UNITS.length - 1, n < 1000 ? 0 : Math.floor(Math.log10(n) / 3));
  return `${step ? (n / 1000 ** step).toFixed(1) : n} ${BYTE_UNITS[step]}`;
}

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB"];

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function share(part: number, whole: number): string {
  if (whole === 0) return "–";
  const percent = (100 * part) / whole;
  const size = Math.abs(percent);
  if (size > 0 && size < 0.05) return "<0.1%";
  return `${percent < 0 ? MINUS : ""}${percentWords(size)}%`;
}

/** Two digits, where there are as many. */
function percentWords(size: number): string {
  return size.toFixed(size < 9.95 && size > 0 ? 1 : 0);
}

/** A time that was chosen: `500 ms`, `10 s`, `5 min`, `1 h`. */
export function chosenTime(seconds: number): string {
  if (seconds < 1) return milliseconds(seconds * 1000);
  const [size, unit] = seconds % 3600 === 0 ? [3600, "h"] : seconds % 60 === 0 ? [60, "min"] : [1, "s"];
  return `${count(seconds / Number(size))} ${unit}`;
}

const TIME: Intl.DateTimeFormatOptions = { hour: "numeric", minute: "numeric", second: "numeric", hour12: false };

export function clockTime(iso: string, timezone: string): string {
  return formatter("time", timezone, TIME, "en-GB").format(new Date(iso));
}

/** `21 Nov`. */
export function dayAndMonth(iso: string, timezone: string): string {
  return formatter("day", timezone, { day: "numeric", month: "short" }, "en-GB").format(new Date(iso));
}

const FULL_DAY: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short", year: "numeric" };

/** `Sat 21 Nov 2026, 03:06:23`. */
export function dateTime(iso: string, timezone: string): string {
  const date = formatter("full day", timezone, FULL_DAY, "en-GB").format(new Date(iso));
  return `${date.replace(",", "")}, ${clockTime(iso, timezone)}`;
}

/** The time a bar of a chart stands for: `03:04 – 03:05`, `Sat 21 Nov, 03:00 – 04:00`, `Sat 21 Nov`, `week from Mon
 * 16 Nov`, `Nov 2026`. Seconds. */
export function bucketWords(start: number, end: number, interval: Interval, timezone: string): string {
  const time = (at: number) => clockTime(new Date(at * 1000).toISOString(), timezone).slice(0, 5);
  const day = dateTime(new Date(start * 1000).toISOString(), timezone).split(" ").slice(0, 3).join(" ");
  if (interval === "day") return day;
  if (interval === "week") return `week from ${day}`;
  if (interval === "month") return monthWords(start, timezone);
  const span = `${time(start)} – ${time(end)}`;
  return interval === "minute" ? span : `${day}, ${span}`;
}

function monthWords(start: number, timezone: string): string {
  return formatter("month", timezone, { month: "short", year: "numeric" }, "en-GB").format(new Date(start * 1000));
}

/** A measured value in words; what is not known is a dash. */
export function measured(kind: Kind, value: Value): string {
  if (value === null || value === undefined) return "–";
  if (kind === "money") return money(String(value));
  if (kind === "cents") return cents(String(value));
  const n = Number(value);
  if (kind === "share") return share(n, 1);
  if (kind === "milliseconds") return milliseconds(n);
  return kind === "count" ? count(n) : count(Math.round(n * 10) / 10);
}

/** As `measured`, for narrow places. */
export function shortly(kind: Kind, value: Value): string {
  if (kind === "money") return shortMoney(textOf(value));
  return kind === "count" || kind === "number" ? compact(value == null ? null : Number(value)) : measured(kind, value);
}

/** To the last digit, for titles. */
export function exactly(kind: Kind, value: Value): string {
  if (kind === "money" || kind === "cents") return exactMoney(textOf(value));
  return value === null || value === undefined ? "not known" : String(value);
}

type Value = string | number | boolean | null | undefined;

function textOf(value: Value): string | null {
  return value === null || value === undefined ? null : String(value);
}

/** By how much something became more or less: `+12%`, `−3.4%`, `new`. */
export function changeWords(before: Value, after: Value): string {
  if (before == null || after == null) return "–";
  const [from, to] = [Number(before), Number(after)];
  if (from === to) return "0%";
  if (from === 0) return "new";
  const percent = (100 * (to - from)) / Math.abs(from);
  const size = Math.abs(percent);
  return `${percent < 0 ? MINUS : "+"}${size >= 1000 ? compact(Math.round(size)) : percentWords(size)}%`;
}

/** `just now`, `4 minutes ago`, `yesterday`, `3 days ago`. */
export function ago(iso: string, now: Date): string {
  const seconds = (now.getTime() - Date.parse(iso)) / 1000;
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  for (const [unit, size] of AGES) if (seconds >= size) return words.format(-Math.floor(seconds / size), unit);
  return "just now";
}

const AGES = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
] as const;
