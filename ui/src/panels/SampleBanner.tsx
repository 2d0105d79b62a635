/** On every page of the sample: that it is one, and the way out. */

import { Button } from "@mantine/core";
import { useTimeout } from "@mantine/hooks";
import { useState } from "react";

import { OWN_ADDRESS } from "../view/sample";

const NOTICED_MS = 600;

export function SampleBanner({ isMade }: { isMade: boolean }) {
  const [isSlow, setSlow] = useState(false);
  useTimeout(() => setSlow(true), NOTICED_MS, { autoInvoke: true });
  return (
    <section className="sample-banner" aria-label="Sample data">
      <span role="status">
        <strong>Sample data, not yours.</strong>{" "}
        {isSlow && !isMade
          ? "An invented month of a help desk is being made, which takes some seconds…"
          : "An invented month of a help desk. Look around and try rules and limits on it; nothing is changed or kept."}
      </span>
      <Button component="a" href={OWN_ADDRESS} size="compact-sm" variant="default">
        Leave the sample
      </Button>
    </section>
  );
}
