/** How an amount went over the range, without axes: a shape beside a number. */

import { sparkPath } from "../shape/sparkline";

const [WIDTH, HEIGHT] = [72, 18];

export function Sparkline({ amounts, label }: { amounts: number[]; label: string }) {
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      <title>{label}</title>
      <path d={sparkPath(amounts, WIDTH, HEIGHT)} />
    </svg>
  );
}
