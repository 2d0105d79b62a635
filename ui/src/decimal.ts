/** Exact arithmetic on decimal strings, the form in which money arrives. No floating point. */

interface Scaled {
  digits: bigint;
  /** Places behind the point. */
  places: number;
}

function scaled(amount: string): Scaled {
  const [whole = "0", fraction = ""] = amount.split(".");
  return { digits: BigInt(whole + fraction), places: fraction.length };
}

function text({ digits, places }: Scaled): string {
  const sign = digits < 0n ? "-" : "";
  const padded = (digits < 0n ? -digits : digits).toString().padStart(places + 1, "0");
  const fraction = places ? padded.slice(-places).replace(/0+$/, "") : "";
  return sign + padded.slice(0, padded.length - places) + (fraction && `.${fraction}`);
}

/** `"0.1" + "0.2"` is `"0.3"`. */
export function add(a: string, b: string): string {
  const [x, y] = [scaled(a), scaled(b)];
  const places = Math.max(x.places, y.places);
  const raised = (n: Scaled) => n.digits * 10n ** BigInt(places - n.places);
  return text({ digits: raised(x) + raised(y), places });
}

/** `a` less `b`; null when either is not known. */
export function difference(a: string | null | undefined, b: string | null | undefined): string | null {
  return a == null || b == null ? null : add(a, multiply(b, -1));
}

/** The sum of the known amounts; null when none is known. */
export function sumKnown(amounts: (string | null | undefined)[]): string | null {
  return amounts.reduce<string | null>((sum, amount) => (amount == null ? sum : sum === null ? amount : add(sum, amount)), null);
}

export function multiply(amount: string, factor: number): string {
  const { digits, places } = scaled(amount);
  return text({ digits: digits * BigInt(factor), places });
}

const RATE_PLACES = 6;

/** What one million tokens would cost at this rate, rounded to six places. */
export function perMillion(amount: string, tokens: number): string {
  const { digits, places } = scaled(amount);
  const divisor = BigInt(tokens) * 10n ** BigInt(places);
  const raised = digits * 1_000_000n * 10n ** BigInt(RATE_PLACES);
  return text({ digits: (raised * 2n + divisor) / (divisor * 2n), places: RATE_PLACES });
}

/** Round half away from zero to `digits` places. */
export function roundDecimal(amount: string, digits: number): string {
  const negative = amount.startsWith("-");
  const [whole = "0", fraction = ""] = amount.replace("-", "").split(".");
  const kept = BigInt(whole + fraction.slice(0, digits).padEnd(digits, "0"));
  const rounded = kept + (Number(fraction[digits] ?? "0") >= 5 ? 1n : 0n);
  const padded = rounded.toString().padStart(digits + 1, "0");
  const sign = negative && rounded !== 0n ? "-" : "";
  return sign + (digits === 0 ? padded : `${padded.slice(0, -digits)}.${padded.slice(-digits)}`);
}
