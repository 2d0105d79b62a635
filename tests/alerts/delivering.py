"""A process that delivers what is in an outbox, and may be killed at it: `delivering.py METADATA URL`."""

from __future__ import annotations

import sys
from pathlib import Path

from taximeter.alerts.channels.registry import open_channels
from taximeter.alerts.delivery import Delivery
from taximeter.clock import SystemClock
from taximeter.store.metadata import Metadata


def main(metadata: str, url: str) -> None:
    opened = Metadata(Path(metadata))
    channels, _mistakes = open_channels({"hook": {"kind": "webhook", "url": url}}, SystemClock())
    delivery = Delivery(opened.alerting, channels, SystemClock())
    while opened.alerting.letters(state="waiting", limit=1):
        delivery.run("hook")
    opened.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
