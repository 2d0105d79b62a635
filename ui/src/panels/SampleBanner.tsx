/** On every page of the sample: that it is one, and the way out. */

import { Button, Loader } from "@mantine/core";

import { OWN_ADDRESS } from "../view/sample";

export function SampleBanner({ isMade }: { isMade: boolean }) {
  return (
    <section className="sample-banner" aria-label="Sample data">
      <span>
        <strong>Sample data, not yours.</strong> An invented month of a help desk. Look around and try rules and limits on it; nothing is changed or kept.
      </span>
      {!isMade && (
        <span className="while-it-is-made" role="status">
          <Loader size="xs" type="dots" aria-hidden /> It is being made, which takes a few seconds…
        </span>
      )}
      <Button component="a" href={OWN_ADDRESS} size="compact-sm" variant="default">
        Leave the sample
      </Button>
    </section>
  );
}
