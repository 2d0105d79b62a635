/** On every page of the sample: that it is one, and the way out. */

import { Button } from "@mantine/core";

import { OWN_ADDRESS } from "../view/sample";

export function SampleBanner() {
  return (
    <section className="sample-banner" aria-label="Sample data">
      <span>
        <strong>Sample data, not yours.</strong> An invented month of a help desk. Look around and try rules and limits on it; nothing is changed or kept.
      </span>
      <Button component="a" href={OWN_ADDRESS} size="compact-sm" variant="default">
        Leave the sample
      </Button>
    </section>
  );
}
