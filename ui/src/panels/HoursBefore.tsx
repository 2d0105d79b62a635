/** The hours before an incident as bars, those of the incident told apart, on the band of what was usual then. */

import { Text } from "@mantine/core";

import type { Hours } from "../shape/incident";

const [BAR, GAP, HEIGHT] = [10, 3, 72];

export function HoursBefore({ hours: { caption, values, since, usual } }: { hours: Hours }) {
  const most = Math.max(...values, ...usual.map((band) => band?.[1] ?? 0));
  const up = (value: number) => (value / most) * HEIGHT;
  return (
    <figure className="hours">
      <svg viewBox={`0 0 ${values.length * (BAR + GAP) - GAP} ${HEIGHT}`} role="img" aria-label={caption}>
        {usual.map((band, index) => {
          if (band === null) return null;
          const [low, high] = band;
          return <rect key={`usual ${index}`} x={index * (BAR + GAP)} y={HEIGHT - up(high)} width={BAR + GAP} height={Math.max(1, up(high - low))} className="usual" />;
        })}
        {values.map((value, index) => {
          const height = value ? Math.max(1, up(value)) : 0;
          return <rect key={index} x={index * (BAR + GAP)} y={HEIGHT - height} width={BAR} height={height} rx={1} className={index < since ? "before" : "since"} />;
        })}
      </svg>
      <Text component="figcaption" size="xs" c="dimmed">
        {caption}; <span className="bad">since it began</span>
        {usual.some(Boolean) && <>; band: from the least to the most at that hour of the 7 days before, as an average of 5 minutes</>}
      </Text>
    </figure>
  );
}
