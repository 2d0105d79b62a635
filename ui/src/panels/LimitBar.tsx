/** How a limit stands for one of its values: spent, held, left, and when it resets. */

import type { LimitValue } from "../api/types";
import { dateTime, limitAmount } from "../format";
import { left } from "../shape/budget";
import type { View } from "../view/state";

interface Props {
  value: LimitValue;
  measure: string;
  view: View;
  /** What stands before the bar; its value unless told otherwise. */
  name?: string;
}

export function LimitBar({ value, measure, view, name }: Props) {
  const whose = name ?? (value.value || "everybody");
  const whole = Number(value.amount) || 1;
  const part = (of: string | number) => Math.min(100, (100 * Number(of)) / whole);
  const spent = part(value.spent);
  return (
    <div className="limit-row">
      <span className="cut">{whose}</span>
      <span
        className="limit-bar"
        role="meter"
        aria-label={`${whose}: spent`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(spent)}
      >
        <span className={spent >= 100 ? "spent full" : "spent"} style={{ width: `${spent}%` }} />
        <span className="held" style={{ width: `${Math.min(100 - spent, part(value.held))}%` }} />
      </span>
      <span className="number uncut">
        {limitAmount(value.spent, measure)}
        {Number(value.held) > 0 && <span className="dim"> + {limitAmount(value.held, measure)} held</span>} of {limitAmount(value.amount, measure)}
      </span>
      <span className="number limit-left">{left(value, measure)}</span>
      <span className="dim small">{outlook(value, view)}</span>
    </div>
  );
}

function outlook(value: LimitValue, view: View): string {
  const used = value.percent < 100 && value.exhausted_at ? `used up ${dateTime(value.exhausted_at, view.timezone)} at this pace` : "";
  const resets = value.resets_at ? `resets ${dateTime(value.resets_at, view.timezone)}` : "";
  return [used, resets].filter(Boolean).join(" · ");
}
