/** The time, the zone, the grouping and the filters of the view. */

import { SegmentedControl, Select, Tooltip } from "@mantine/core";
import { IconWorld } from "@tabler/icons-react";
import { useMemo } from "react";

import type { PageProps } from "../pages/registry";
import { type Dimension, nameInText } from "../view/names";
import { isSpan, type RangeName, RANGES } from "../view/range";
import { AddFilter } from "./AddFilter";
import { RangePicker } from "./RangePicker";
import { useDimensions } from "./useDimensions";

export default function Controls({ view, change }: PageProps) {
  return (
    <>
      <SegmentedControl
        aria-label="Time range"
        className="range"
        size="xs"
        data={Object.keys(RANGES)}
        value={isSpan(view.range) ? "" : view.range}
        onChange={(range) => change({ range: range as RangeName })}
      />
      <RangePicker view={view} change={change} />
      {(view.page === "overview" || view.of !== null) && <GroupSelect view={view} change={change} />}
      <ZoneSelect view={view} change={change} />
      <AddFilter view={view} change={change} />
    </>
  );
}

function GroupSelect({ view, change }: PageProps) {
  const options = useDimensions(view.by);
  return (
    <Select
      aria-label="Group the chart by"
      size="xs"
      w={158}
      searchable
      allowDeselect={false}
      data={options.map(({ group, items }) => ({ group, items: items.map(({ value }) => ({ value, label: `by ${nameInText(value)}` })) }))}
      value={view.by}
      onChange={(by) => by && change({ by: by as Dimension })}
    />
  );
}

function ZoneSelect({ view, change }: PageProps) {
  const zones = useMemo(() => [...new Set([view.timezone, "UTC", ...Intl.supportedValuesOf("timeZone")])], [view.timezone]);
  return (
    <Tooltip label={`Days begin at midnight in ${view.timezone}`} openDelay={400}>
      <Select
        aria-label="Time zone in which days begin"
        size="xs"
        w={178}
        searchable
        allowDeselect={false}
        limit={50}
        leftSection={<IconWorld size={14} />}
        data={zones}
        value={view.timezone}
        onChange={(timezone) => timezone && change({ timezone })}
      />
    </Tooltip>
  );
}
