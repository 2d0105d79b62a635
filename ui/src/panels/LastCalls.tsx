/** The newest calls of the range, as they come in. They stand still while somebody points at them. */

import { Button, Center, Text } from "@mantine/core";
import { type FocusEvent, type PointerEvent, useState } from "react";

import type { CallPage } from "../api/types";
import { useLiveQuery } from "../live/useLiveQuery";
import { FIRST_CALLS, lastCalls } from "../questions/spend";
import { theRange } from "../view/range";
import { type ChangeView, type View } from "../view/state";
import { CallTable } from "./CallTable";
import { Panel } from "./Panel";

const MOST = 400;

interface Props {
  view: View;
  change: ChangeView;
}

export function LastCalls(props: Props) {
  const { range, filters } = props.view;
  return <Calls key={JSON.stringify([range, filters])} {...props} />;
}

function Calls({ view, change }: Props) {
  const { range, timezone } = view;
  const [limit, setLimit] = useState(FIRST_CALLS);
  const [held, setHeld] = useState<CallPage | null>(null);
  const query = useLiveQuery(lastCalls(view, limit));
  const hold = () => setHeld((before) => before ?? query.data ?? null);
  const more = () => {
    setHeld(null);
    setLimit(Math.min(limit * 4, MOST));
  };
  return (
    <Panel
      title="Last calls"
      aside={held && <HeldNote held={held} newest={query.data} />}
      query={query}
      isEmpty={(page) => page.events.length === 0}
      empty={`No calls in ${theRange(range, timezone)}.`}
      height={300}
    >
      {(page) => (
        <div
          onPointerEnter={(event: PointerEvent) => event.pointerType === "mouse" && hold()}
          onPointerLeave={() => setHeld(null)}
          onFocus={(event: FocusEvent) => event.target.matches(":focus-visible") && hold()}
          onBlur={() => setHeld(null)}
        >
          <CallTable page={held ?? page} timezone={timezone} open={(id) => change({ call: id })} />
          {page.next !== null && limit < MOST && (
            <Center mt="sm">
              <Button variant="default" size="compact-sm" onClick={more} loading={query.isPlaceholderData}>
                Show more
              </Button>
            </Center>
          )}
        </div>
      )}
    </Panel>
  );
}

function HeldNote({ held, newest }: { held: CallPage; newest: CallPage | undefined }) {
  const last = held.events[0]?.event_id;
  const at = newest?.events.findIndex((event) => event.event_id === last) ?? 0;
  const missed = at < 0 ? `${newest?.events.length}+ new` : `${at} new`;
  return (
    <Text size="xs" c="dimmed">
      paused while you look{at === 0 ? "" : ` · ${missed}`}
    </Text>
  );
}
