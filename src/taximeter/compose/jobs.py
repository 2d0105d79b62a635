"""The periodic work of a server: roll-ups, detection, alerts, exports. Each job has a thread of its own.

A job that fails is tried again at its next turn; how it is doing is part of the server's status. A job never
overlaps itself. `stop` ends each job after the turn under way.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from taximeter.clock import Clock, rfc3339
from taximeter.errors import TaximeterError

WHILE_FIRST_QUESTIONS_SECONDS: Final = 5.0
"""After a start whoever looks at the page waits for its answers; what reads much of the store begins so much later."""

GIVING_WAY_TIMES: Final = 9
"""While others hurry, what reads much of the store rests so many times as long as its turn took: it takes a tenth of
the time."""

LONGEST_GIVING_WAY_SECONDS: Final = 30.0

STOP_SECONDS: Final = 10.0
"""How long the end of the server waits for a turn under way. What it leaves half done, the next start does again."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job is. Times are RFC 3339; `last_error` is None once a turn has succeeded again."""

    every_seconds: float
    runs: int = 0
    failures: int = 0
    last_success_at: str | None = None
    last_duration_ms: float | None = None
    last_error: str | None = None
    elsewhere: bool = False
    """Another process on the same metadata does it."""
    lag_seconds: float | None = None
    """For how long something has waited for it; None where that is not known of a job."""


class Job:
    """Calls `run` every so many seconds, from `after_seconds` behind `start` to `stop`. One that begins later reads
    much of the store, and gives way while it is `hurried`."""

    def __init__(
        self,
        name: str,
        every_seconds: float,
        run: Callable[[], None],
        clock: Clock,
        after_seconds: float = 0.0,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self._after_seconds = after_seconds
        self._hurried = hurried
        self.status = JobStatus(every_seconds)
        self._run = run
        self._clock = clock
        self.ours: Callable[[], bool] = lambda: True
        """Whether it is this process that does it now."""
        self.lag_seconds: Callable[[], float] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._turns, name=f"taximeter-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; `join` waits for that."""
        self._stopping.set()

    def join(self, timeout_seconds: float) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _turns(self) -> None:
        self._stopping.wait(self._after_seconds)
        while not self._stopping.is_set():
            began = self._clock.monotonic()
            self.turn()
            self._stopping.wait(self.rest_seconds(self._clock.monotonic() - began))

    def rest_seconds(self, took_seconds: float) -> float:
        """The pause after a turn that took so long."""
        if not self._after_seconds or not self._hurried():
            return self.status.every_seconds
        return max(self.status.every_seconds, min(took_seconds * GIVING_WAY_TIMES, LONGEST_GIVING_WAY_SECONDS))

    def turn(self) -> None:
        """Run once, now. Whatever goes wrong is noted, and the job lives on."""
        if not self.ours():
            self.status = JobStatus(self.status.every_seconds)
            return
        began = self._clock.monotonic()
        try:
            self._run()
        except (TaximeterError, OSError) as error:
            self._failed(error)
            _log.warning("%s: %s", self.name, error)
        except Exception as error:  # noqa: BLE001 - a job that has died does nothing any more
            self._failed(error)
            _log.exception("%s: unexpected", self.name)
        else:
            self.status = replace(
                self.status,
                runs=self.status.runs + 1,
                last_success_at=rfc3339(self._clock.now_us()),
                last_duration_ms=(self._clock.monotonic() - began) * 1000,
                last_error=None,
            )

    def _failed(self, error: Exception) -> None:
        status = self.status
        self.status = replace(status, runs=status.runs + 1, failures=status.failures + 1, last_error=str(error))


class Jobs:
    """All jobs of a process, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[str, Job] = {}
        self._hurried: Callable[[], bool] = lambda: False

    def every(self, name: str, seconds: float, run: Callable[[], None], after_seconds: float = 0.0) -> Job:
        """A job that begins with the server: `run` is called at once, or `after_seconds`, then `seconds` after each end
        of it, unless it gives way.

        `run` blocks, in a thread of its own. Raises ValueError when the name is taken.
        """
        if name in self._jobs:
            raise ValueError(f"there is a job {name!r} already")
        job = self._jobs[name] = Job(name, seconds, run, self._clock, after_seconds, self._are_hurried)
        return job

    def give_way(self, hurried: Callable[[], bool]) -> None:
        """What reads much of the store rests longer while others are `hurried`."""
        self._hurried = hurried

    def _are_hurried(self) -> bool:
        return self._hurried()

    def once(self, beginnings: tuple[str, ...], ours: Callable[[], bool]) -> None:
        """Jobs whose names begin so, which several processes must not do twice, run while it is `ours`."""
        for name, job in self._jobs.items():
            if name.startswith(beginnings):
                job.ours = ours

    def start(self) -> None:
        for job in self._jobs.values():
            job.start()

    def stop(self) -> None:
        """End all of them, each after the turn under way, and wait for that at most `STOP_SECONDS`."""
        for job in self._jobs.values():
            job.stop()
        ends_at = self._clock.monotonic() + STOP_SECONDS
        for job in self._jobs.values():
            job.join(max(0.0, ends_at - self._clock.monotonic()))

    @property
    def status(self) -> Mapping[str, JobStatus]:
        return {name: _now(job) for name, job in sorted(self._jobs.items())}


def _now(job: Job) -> JobStatus:
    lag_seconds = None if job.lag_seconds is None else job.lag_seconds()
    return replace(job.status, elsewhere=not job.ours(), lag_seconds=lag_seconds)
