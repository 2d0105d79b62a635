/** The month under way: what is spent so far, and what it may come to, drawn as a band until its end. */

import { Text, useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useRef } from "react";
import uPlot from "uplot";

import type { Forecast } from "../api/types";
import { counted, exactMoney, money, roundMoney } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { daysOfMonth, monthEnd } from "../questions/spend";
import { curve, type Curve } from "../shape/month";
import type { View } from "../view/state";
import { monthOptions } from "./plotOptions";
import { Body, Panel } from "./Panel";

const HEIGHT = 230;
const OUTLOOK_HEIGHT = 40;

export default function MonthChart({ view }: { view: View }) {
  const { timezone } = view;
  const days = useLiveQuery(daysOfMonth(view));
  const outlook = useLiveQuery(monthEnd(view));
  return (
    <Panel title="This month" query={days} height={HEIGHT + OUTLOOK_HEIGHT} steady isEmpty={(answer) => answer.rows.length === 0} empty="No calls this month yet.">
      {(answer) => (
        <Body query={outlook} height={HEIGHT + OUTLOOK_HEIGHT}>
          {(told) => (
            <>
              <Drawn found={curve(answer.rows, told)} told={told} timezone={timezone} />
              <Outlook told={told} unpriced={answer.coverage.unpriced_calls} />
            </>
          )}
        </Body>
      )}
    </Panel>
  );
}

/** In words what is drawn. */
function Outlook({ told, unpriced }: { told: Forecast; unpriced: number }) {
  return (
    <Text size="xs" c="dimmed" mt={6}>
      <span className="number" title={exactMoney(told.spent_usd)} data-testid="month-spent">
        {money(told.spent_usd)}
      </span>{" "}
      so far{told.forecast_usd === null ? `. ${told.reason}` : `; by its end between ${roundMoney(told.low_usd)} and ${roundMoney(told.high_usd)}, four times out of five.`}
      {unpriced > 0 && <span className="warn"> {counted(unpriced, "call")} without a price: not in it.</span>}
    </Text>
  );
}

function Drawn({ found, told, timezone }: { found: Curve; told: Forecast; timezone: string }) {
  const { ref, width } = useElementSize();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const dark = useComputedColorScheme("light") === "dark";
  const data: uPlot.AlignedData = [found.times, found.spent, found.expected, found.low, found.high];

  useEffect(() => {
    if (!holder.current || width === 0) return;
    plot.current = new uPlot(monthOptions({ width, height: HEIGHT, dark, timezone }), data, holder.current);
    return () => plot.current?.destroy();
  }, [width, dark, timezone]);
  useEffect(() => plot.current?.setData(data), [found]);

  const words = told.forecast_usd === null ? "" : `, ${roundMoney(told.forecast_usd)} expected by its end, between ${roundMoney(told.low_usd)} and ${roundMoney(told.high_usd)}`;
  return (
    <div ref={ref} className="chart" role="img" aria-label={`Spent this month: ${money(told.spent_usd)}${words}`}>
      <div ref={holder} style={{ height: HEIGHT }} />
    </div>
  );
}
