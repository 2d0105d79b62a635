/** How amounts, counts and times are shown. Money arrives as an exact decimal string and is rounded here only. */

import { roundDecimal } from "./decimal";

/** `$1,234.57`, `$0.0034` (two significant digits below a cent), `$0`; an unknown amount is a dash, never zero. */
export function money(amount: string | null | undefined): string {
  if (amount === null || amount === undefined) return "–";
  const magnitude = Math.abs(Number(amount));
  if (magnitude === 0) return "$0";
  const digits = magnitude >= 0.1 ? 2 : Math.min(12, 1 - Math.floor(Math.log10(magnitude)));
  const rounded = roundDecimal(amount, digits);
  const [whole = "0", fraction] = rounded.replace("-", "").split(".");
  const sign = rounded.startsWith("-") ? "-" : "";
  return `${sign}$${whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",")}${fraction ? `.${fraction}` : ""}`;
}

const SMALLEST_SHOWN = "0.00001";

/** As `money`, for narrow places: what is smaller than a thousandth of a cent is only said to be so. */
export function shortMoney(amount: string | null | undefined): string {
  const magnitude = Math.abs(Number(amount ?? 0));
  return magnitude > 0 && magnitude < Number(SMALLEST_SHOWN) ? `<$${SMALLEST_SHOWN}` : money(amount);
}

/** The amount to its last digit, for titles and cost sheets. */
export function exactMoney(amount: string | null | undefined): string {
  return amount === null || amount === undefined ? "not priced" : `$${amount}`;
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : n.toLocaleString("en-US");
}

/** `1 call`, `1,234 calls`. */
export function counted(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** `950`, `12.3k`, `4.6M`: for places where a rough size is enough. */
export function compact(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(n);
}

export function milliseconds(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function share(part: number, whole: number): string {
  if (whole === 0) return "–";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.05) return "<0.1%";
  return `${percent.toFixed(percent < 10 && percent > 0 ? 1 : 0)}%`;
}

export function clockTime(iso: string, timezone: string): string {
  return new Date(iso).toLocaleTimeString("en-GB", { timeZone: timezone, hour12: false });
}

/** `Sat 21 Nov 2026, 03:06:23`. */
export function dateTime(iso: string, timezone: string): string {
  const date = new Date(iso).toLocaleDateString("en-GB", {
    timeZone: timezone,
    weekday: "short",
    day: "numeric",
    month: "short",
    year: "numeric",
  });
  return `${date.replace(",", "")}, ${clockTime(iso, timezone)}`;
}

/** The time a bar of a chart stands for: `03:04 – 03:05`, `Sat 21 Nov, 03:00 – 04:00`, `Sat 21 Nov`. Seconds. */
export function bucketWords(start: number, end: number, interval: "minute" | "hour" | "day", timezone: string): string {
  const time = (at: number) => clockTime(new Date(at * 1000).toISOString(), timezone).slice(0, 5);
  const day = dateTime(new Date(start * 1000).toISOString(), timezone).split(" ").slice(0, 3).join(" ");
  if (interval === "day") return day;
  const span = `${time(start)} – ${time(end)}`;
  return interval === "minute" ? span : `${day}, ${span}`;
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
