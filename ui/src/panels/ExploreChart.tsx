/** The chosen measure over time, by group, with the time before as a dashed line where the groups add up. */

import type { UseQueryResult } from "@tanstack/react-query";

import { ask } from "../api/client";
import { shortly } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { dimensionsOf, question } from "../shape/explore";
import { series, type Series, totalsByBucket } from "../shape/series";
import { MEASURES } from "../view/measures";
import { filtered } from "../view/names";
import { bucketsOf, lookOf, spanOf } from "../view/range";
import { chartOf, intervalOf, type View } from "../view/state";
import { bucketStarts, endOfBucket, startOf } from "../view/zone";
import type { PageProps } from "../pages/registry";
import { Chart, KEYS } from "./Chart";
import { WITH_LEGEND } from "./chartFrame";
import { Legend } from "./Legend";
import { nothing } from "./nothing";
import { Panel } from "./Panel";
import { useColours } from "./useColours";

interface OverTime {
  series: Series;
  end: number;
  before: number[] | undefined;
}

export function ExploreChart({ title, view, change }: PageProps & { title: string }) {
  const query = useOverTime(view);
  const groups = dimensionsOf(view).join();
  const colours = useColours(query.data?.series, groups);
  const measure = MEASURES[view.measure];
  const interval = intervalOf(view);
  return (
    <Panel title={title} query={query} height={WITH_LEGEND} steady isEmpty={({ series: found }) => found.groups.length === 0} empty={nothing(view)}>
      {(data) => (
        <>
          <Chart
            key={groups}
            {...data}
            colours={colours}
            interval={interval}
            timezone={view.timezone}
            measure={measure}
            lines={chartOf(view) === "lines"}
            label={`${measure.label} per ${interval}: ${data.series.groups.map(({ name, total }) => (measure.adds ? `${name} ${shortly(measure.kind, total)}` : name)).join(", ")}. ${KEYS}`}
            zoom={(from, to) => change({ range: spanOf(from, to) })}
          />
          <Legend
            series={data.series}
            colours={colours}
            kind={measure.adds ? measure.kind : null}
            pick={({ value }) => (value === null || view.then ? null : () => change({ filters: filtered(view.filters, view.by, value) }))}
          />
        </>
      )}
    </Panel>
  );
}

function useOverTime(view: View): UseQueryResult<OverTime> {
  const { range, timezone, filters, by, then, measure, top, compare } = view;
  return useLiveQuery({
    key: ["explore over time", range, timezone, filters, by, then, measure, top, compare, intervalOf(view)],
    rows: [by, then, measure],
    paceSeconds: lookOf(range).paceSeconds,
    ask: () => load(view, new Date()),
  });
}

async function load(view: View, now: Date): Promise<OverTime> {
  const [asked, interval] = [question(view, now, true), intervalOf(view)];
  const { rows, comparison } = await ask(asked);
  const found = series(rows, dimensionsOf(view), view.measure, bucketsOf(view.range, interval, view.timezone, now));
  const isSummed = comparison && MEASURES[view.measure].adds;
  const before = isSummed ? totalsByBucket(comparison.rows, view.measure, bucketStarts(interval, startOf(comparison.from, view.timezone), startOf(comparison.to, view.timezone) - 1, view.timezone)) : undefined;
  return { series: found, end: endOfBucket(interval, found.times.at(-1)!, view.timezone), before };
}
