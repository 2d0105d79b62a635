/** How amounts, counts and times are shown. Money arrives as an exact decimal string and is rounded here only. */

/** Round a decimal string half away from zero to `digits` places, without floating point. */
export function roundDecimal(amount: string, digits: number): string {
  const negative = amount.startsWith("-");
  const [whole = "0", fraction = ""] = amount.replace("-", "").split(".");
  const scaled = BigInt(whole + fraction.slice(0, digits).padEnd(digits, "0"));
  const rounded = scaled + (Number(fraction[digits] ?? "0") >= 5 ? 1n : 0n);
  const text = rounded.toString().padStart(digits + 1, "0");
  const sign = negative && rounded !== 0n ? "-" : "";
  return sign + (digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`);
}

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

/** The amount to its last digit, for titles and cost sheets. */
export function exactMoney(amount: string | null | undefined): string {
  return amount === null || amount === undefined ? "not priced" : `$${amount}`;
}

export function count(n: number | null | undefined): string {
  return n === null || n === undefined ? "–" : n.toLocaleString("en-US");
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
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(part / whole < 0.1 ? 1 : 0)}%`;
}

export function clockTime(iso: string, timezone: string): string {
  return new Date(iso).toLocaleTimeString("en-GB", { timeZone: timezone, hour12: false });
}
