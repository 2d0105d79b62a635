/** The time, the zone, the grouping and the filters of the view. */

import { Select } from "@mantine/core";
import { IconWorld } from "@tabler/icons-react";
import { useMemo, useState } from "react";

import type { PageProps } from "../pages/registry";
import { type Dimension, nameInText } from "../view/names";
import { isOverTime, type PageName } from "../view/state";
import { isSpan, type RangeName, RANGES } from "../view/range";
import { AddFilter } from "./AddFilter";
import { Choice } from "./Choice";
import { RangePicker } from "./RangePicker";
import { useDimensions } from "./useDimensions";
import { WhenIdle } from "./WhenIdle";

/** Pixels; of the buttons what their words come to. */
const WIDTHS = { dates: 84, group: 158, zone: 178, filter: 84 };

/** Pages whose chart or tables are grouped by what the view says, with nothing of their own to choose it. */
const GROUPED: PageName[] = ["overview", "finance"];

const placeOf = (width: number) => <div className="control-place" style={{ width }} />;

export default function Controls({ view, change }: PageProps) {
  const narrows = isOverTime(view);
  return (
    <>
      {narrows && (
        <>
          <Choice
            label="Time range"
            className="range"
            options={(Object.keys(RANGES) as RangeName[]).map((value) => ({ value, label: value }))}
            value={isSpan(view.range) ? "" : view.range}
            onChange={(range) => change({ range })}
          />
          <WhenIdle place={placeOf(WIDTHS.dates)}>
            <RangePicker view={view} change={change} />
          </WhenIdle>
        </>
      )}
      {(GROUPED.includes(view.page) || view.of !== null) && (
        <WhenIdle place={placeOf(WIDTHS.group)}>
          <GroupSelect view={view} change={change} />
        </WhenIdle>
      )}
      <WhenIdle place={placeOf(WIDTHS.zone)}>
        <ZoneSelect view={view} change={change} />
      </WhenIdle>
      {narrows && (
        <WhenIdle place={placeOf(WIDTHS.filter)}>
          <AddFilter view={view} change={change} />
        </WhenIdle>
      )}
    </>
  );
}

function GroupSelect({ view, change }: PageProps) {
  const [isLookedAt, setLookedAt] = useState(false);
  const options = useDimensions([view.by], isLookedAt);
  return (
    <Select
      aria-label="Group by"
      size="xs"
      w={WIDTHS.group}
      onFocus={() => setLookedAt(true)}
      searchable
      allowDeselect={false}
      data={options.map(({ group, items }) => ({ group, items: items.map(({ value }) => ({ value, label: `by ${nameInText(value)}` })) }))}
      placeholder="by who pays"
      value={view.page === "finance" && !view.isGrouped ? null : view.by}
      onChange={(by) => by && change({ by: by as Dimension, isGrouped: true })}
    />
  );
}

function ZoneSelect({ view, change }: PageProps) {
  const zones = useMemo(() => [...new Set([view.timezone, "UTC", ...Intl.supportedValuesOf("timeZone")])], [view.timezone]);
  return (
    <Select
      aria-label="Time zone in which days begin"
      title={`Days begin at midnight in ${view.timezone}`}
      size="xs"
      w={WIDTHS.zone}
      searchable
      allowDeselect={false}
      limit={50}
      leftSection={<IconWorld size={14} />}
      data={zones}
      value={view.timezone}
      onChange={(timezone) => timezone && change({ timezone })}
    />
  );
}
