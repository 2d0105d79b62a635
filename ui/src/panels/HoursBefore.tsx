/** The hours before an incident as bars, those of the incident told apart. */

import { Text } from "@mantine/core";

import type { Hours } from "../shape/incident";

const [BAR, GAP, HEIGHT] = [10, 3, 72];

export function HoursBefore({ hours: { caption, values, since } }: { hours: Hours }) {
  const most = Math.max(...values);
  return (
    <figure className="hours">
      <svg viewBox={`0 0 ${values.length * (BAR + GAP) - GAP} ${HEIGHT}`} role="img" aria-label={caption}>
        {values.map((value, index) => {
          const height = value ? Math.max(1, (value / most) * HEIGHT) : 0;
          return <rect key={index} x={index * (BAR + GAP)} y={HEIGHT - height} width={BAR} height={height} rx={1} className={index < since ? "before" : "since"} />;
        })}
      </svg>
      <Text component="figcaption" size="xs" c="dimmed">
        {caption}; <span className="bad">since it began</span>
      </Text>
    </figure>
  );
}
