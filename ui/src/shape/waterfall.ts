/** A change of spend as steps from before to after: where each bar begins and ends, as shares of the whole width. */

import type { WhyAnswer } from "../api/types";
import { add } from "../decimal";

export const FACTORS: Record<string, string> = {
  volume: "More or fewer requests",
  feature_mix: "Shift between features",
  model_mix: "Shift between models",
  retries: "Retries",
  input_tokens: "Input tokens a call",
  output_tokens: "Output tokens a call",
  cache: "Caching",
  price: "Prices",
  fees: "Searches and other fees",
};

export interface Step {
  label: string;
  /** USD, exact; of the first and last step the total, of the others the change. */
  amount: string;
  isTotal: boolean;
  /** Percent of the width. */
  left: number;
  width: number;
}

/** Before, every factor that moved, the largest first, and after. */
export function waterfall(answer: Pick<WhyAnswer, "before_usd" | "after_usd" | "factors">): Step[] {
  const levels = answer.factors.reduce<string[]>((all, one) => [...all, add(all[all.length - 1]!, one.change_usd)], [answer.before_usd]);
  const numbers = [...levels, answer.after_usd, "0"].map(Number);
  const [lowest, highest] = [Math.min(...numbers), Math.max(...numbers)];
  const scale = (amount: number) => (highest === lowest ? 0 : (100 * amount) / (highest - lowest));
  const bar = (from: number, to: number) => ({ left: scale(Math.min(from, to) - lowest), width: scale(Math.abs(to - from)) });
  return [
    { label: "Before", amount: answer.before_usd, isTotal: true, ...bar(0, Number(answer.before_usd)) },
    ...answer.factors.map((one, index) => ({
      label: FACTORS[one.factor] ?? one.factor,
      amount: one.change_usd,
      isTotal: false,
      ...bar(Number(levels[index]), Number(levels[index + 1])),
    })),
    { label: "After", amount: answer.after_usd, isTotal: true, ...bar(0, Number(answer.after_usd)) },
  ];
}
