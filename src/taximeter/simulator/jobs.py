"""Jobs that one request asks for and others fetch: what this simulator is still making, or has made."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FETCHES_UNTIL_DONE: Final = 2
"""A job is done when it is fetched so often."""

MOST_JOBS: Final = 10_000
"""Jobs that are kept; the oldest are forgotten first."""


@dataclass(slots=True)
class Job:
    """One job: the body that asked for it, and how often it was fetched."""

    asked: Mapping[str, Any]
    fetched: int = 0

    @property
    def done(self) -> bool:
        return self.fetched >= FETCHES_UNTIL_DONE

    @property
    def just_done(self) -> bool:
        """Whether the latest fetch was the first one to find it done: then it is billed."""
        return self.fetched == FETCHES_UNTIL_DONE


class Jobs:
    """All jobs, by the name under which they are fetched."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def begin(self, name: str, asked: Mapping[str, Any]) -> None:
        self._jobs[name] = Job(asked)
        if len(self._jobs) > MOST_JOBS:
            self._jobs.popitem(last=False)

    def fetch(self, name: str) -> Job | None:
        """The job, fetched once more; None when there is none of this name."""
        job = self._jobs.get(name)
        if job is not None:
            job.fetched += 1
        return job
