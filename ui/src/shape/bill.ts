/** A provider's bill beside what was metered: what is asked, and what the answer says. Pure. */

import type { ReconcileAnswer, ReconcileWish } from "../api/types";
import { counted, measured, money, share, signedMoney } from "../format";
import type { Column } from "./finance";

export const BILLED: Column[] = [
  { name: "billed_usd", label: "Billed", kind: "money" },
  { name: "metered_usd", label: "Metered", kind: "money" },
  { name: "difference_usd", label: "Difference", kind: "money" },
  { name: "unmetered_usd", label: "Not metered", kind: "money" },
  { name: "price_usd", label: "Other prices", kind: "money" },
  { name: "unexplained_usd", label: "Unexplained", kind: "money" },
  { name: "calls", label: "Calls", kind: "count" },
];

export interface Bill {
  /** `2026-10`, in UTC. */
  month: string;
  by: "day" | "model";
  files: { name: string; text: string }[];
  /** One amount in place of files, and whose bill it is. */
  provider: string;
  amount: string;
}

/** Files say whose bill they are; an amount does not. Without either it is the bill that was imported. */
export function wishOf({ month, by, files, provider, amount }: Bill): ReconcileWish {
  const whose = provider.trim() ? { provider: provider.trim() } : {};
  if (files.length) return { month, by, files, ...whose };
  return amount.trim() ? { month, billed_usd: amount.trim(), ...whose } : { month, by, ...whose };
}

/** The last twelve months, the one that is over first. */
export function months(today: string): { value: string; label: string }[] {
  const [year, month] = today.split("-").map(Number) as [number, number];
  const back = [1, 0, ...Array.from({ length: 10 }, (_, index) => index + 2)];
  return back.map((ago) => {
    const first = new Date(Date.UTC(year, month - 1 - ago, 1));
    const label = first.toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
    return { value: first.toISOString().slice(0, 7), label };
  });
}

export interface Verdict {
  look: "good" | "warn" | "dim";
  words: string;
}

export function verdict({ within, tolerance, totals }: Pick<ReconcileAnswer, "within" | "tolerance" | "totals">): Verdict {
  if (within === null) return { look: "dim", words: "There is no bill of that month to compare." };
  const part = totals.difference_share === null ? "" : `, ${measured("share", totals.difference_share)} of the bill`;
  const difference = `${signedMoney(totals.difference_usd)}${part}: billed ${money(totals.billed_usd)}, metered ${money(totals.metered_usd)}`;
  const bound = share(Number(tolerance), 1);
  return within ? { look: "good", words: `Agrees within ${bound}. ${difference}` } : { look: "warn", words: `Differs by more than ${bound}. ${difference}` };
}

/** `$1.00, 12 calls: …` */
export function reasonWords({ text, usd, calls }: ReconcileAnswer["reasons"][number]): string {
  const about = [usd === null ? null : money(usd), calls === null ? null : counted(calls, "call")].filter(Boolean).join(", ");
  return about ? `${about}: ${text}` : text;
}
