/** The sheet of the call that the address names, loaded when the first one is opened. */

import { Suspense, useRef } from "react";

import { lazily } from "../lazily";
import type { PageProps } from "../pages/registry";

const CallSheet = lazily(() => import("./CallSheet"));

export function OpenedCall(props: PageProps) {
  const isNeeded = useRef(false);
  isNeeded.current ||= props.view.call !== null;
  return (
    isNeeded.current && (
      <Suspense>
        <CallSheet {...props} />
      </Suspense>
    )
  );
}
