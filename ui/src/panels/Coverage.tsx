/** How complete the numbers of the range are, and what that means. */

import { Code, Popover, Stack, Table, Text, UnstyledButton } from "@mantine/core";
import { IconAlertTriangle, IconChevronDown, IconCircleCheck } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";

import { ask } from "../api/client";
import { count, counted } from "../format";
import { useLiveQuery } from "../live/useLiveQuery";
import { overTime } from "../questions/spend";
import { reasonInWords } from "../shape/costSheet";
import { rowKey, rowName, rowValue } from "../shape/series";
import { filtered } from "../view/names";
import { periodOf, theRange } from "../view/range";
import { type ChangeView, type View } from "../view/state";

interface Props {
  view: View;
  change: ChangeView;
}

export function Coverage({ view, change }: Props) {
  const { data } = useLiveQuery(overTime(view));
  if (!data) return <div className="coverage-line" />;
  const calls = Number(data.totals["calls"]);
  if (calls === 0) return null;
  const { unpriced_calls: unpriced, estimated_calls: estimated, late_calls: late } = data.coverage;
  const isComplete = unpriced === 0 && estimated === 0;
  return (
    <section aria-label="Coverage" className="coverage-line">
      <Popover position="bottom-start" width={460} shadow="md" withinPortal>
        <Popover.Target>
          <UnstyledButton className="coverage" data-testid="coverage">
            {isComplete ? <IconCircleCheck size={16} className="good" /> : <IconAlertTriangle size={16} className="warn" />}
            <span className="parts">
              <Part>
                {unpriced === 0 ? "All calls" : `${count(calls - unpriced)} of ${counted(calls, "call")}`} of{" "}
                {theRange(view.range, view.timezone)} priced
              </Part>
              {unpriced > 0 && <Part warn>{count(unpriced)} not priced</Part>}
              {estimated > 0 && <Part>{count(estimated)} estimated</Part>}
              {late > 0 && <Part>{count(late)} late</Part>}
            </span>
            <IconChevronDown size={14} className="dim" />
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown maw="calc(100vw - 32px)">
          <Stack gap="md">
            <Meaning title={`${count(unpriced)} not priced`}>
              Nobody knows yet what they cost, so they are not in the amounts on this page: real spend is higher.
              {unpriced > 0 && <UnpricedModels view={view} change={change} />}
            </Meaning>
            <Meaning title={`${count(estimated)} estimated`}>
              The provider did not say how much was used, for instance because a stream broke off. We counted the text
              ourselves; the amounts are included.
            </Meaning>
            <Meaning title={`${count(late)} late`}>
              They were stored more than five minutes after they began: imported, or held back while the meter could not
              be reached. Totals that you saw before may have grown.
            </Meaning>
          </Stack>
        </Popover.Dropdown>
      </Popover>
    </section>
  );
}

function Part({ warn, children }: { warn?: boolean; children: ReactNode }) {
  return <span className={warn ? "warn" : undefined}>{children}</span>;
}

function Meaning({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div>
      <Text size="sm" fw={600}>
        {title}
      </Text>
      <Text size="sm" c="dimmed" component="div">
        {children}
      </Text>
    </div>
  );
}

/** Asked when the explanation is opened. */
function UnpricedModels({ view, change }: Props) {
  const { range, timezone, filters } = view;
  const { data } = useQuery({
    queryKey: ["unpriced models", range, timezone, filters],
    queryFn: () =>
      ask({
        measures: ["calls"],
        group_by: ["model", "unpriced_reason"],
        filters: { ...filters, unpriced_reason: { exists: true } },
        ...periodOf(range, timezone, new Date()),
        timezone,
        order_by: "-calls",
        limit: 8,
      }),
  });
  if (!data) return null;
  return (
    <>
      <Table fz="sm" my="xs" verticalSpacing={4} horizontalSpacing={6}>
        <Table.Tbody>
          {data.rows.map((row) => (
            <Table.Tr key={rowKey(row, "model", "unpriced_reason")}>
              <Table.Td>
                <ModelName value={rowValue(row, "model")} name={rowName(row, "model")} view={view} change={change} />
              </Table.Td>
              <Table.Td>{row["other"] ? "" : reasonInWords(row["unpriced_reason"] as string)}</Table.Td>
              <Table.Td ta="right" className="number">
                {count(row["calls"] as number)}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
      A model of your own gets its price from the file that the setting <Code>prices.overrides</Code> names.
    </>
  );
}

function ModelName({ value, name, view, change }: Props & { value: string | null; name: string }) {
  if (value === null) return name;
  return (
    <UnstyledButton fz="sm" className="link" onClick={() => change({ filters: filtered(view.filters, "model", value) })}>
      {name}
    </UnstyledButton>
  );
}
