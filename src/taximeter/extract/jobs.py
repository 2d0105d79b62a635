"""What jobs were asked for, kept until their answers are fetched: those do not say it again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from taximeter.extract.reading import Reading, RequestFacts

MOST_JOBS: Final = 4_096
"""Jobs that are remembered; the oldest are forgotten first."""


class Jobs:
    """A memory of one process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._asked: OrderedDict[tuple[str, str], RequestFacts] = OrderedDict()

    def begun(self, provider: str, asked: RequestFacts, told: Reading) -> None:
        """A provider answered to a request that it has begun a job, if it did."""
        if asked.wanted is None or told.usage_id is None or told.error_type is not None:
            return
        self._asked[provider, told.usage_id] = asked
        if len(self._asked) > MOST_JOBS:
            self._asked.popitem(last=False)

    def asked(self, provider: str, usage_id: str) -> RequestFacts | None:
        """What a job was asked for; None when nobody remembers."""
        return self._asked.get((provider, usage_id))
