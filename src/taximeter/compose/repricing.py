"""Runs of re-pricing in a process that keeps events: asked for from outside, performed one after the other by a job."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from taximeter.clock import Clock
from taximeter.core.ids import EventIds
from taximeter.errors import NotFoundError, TaximeterError, UsageError
from taximeter.pricing import PriceBook
from taximeter.reports.asking import Progress
from taximeter.reports.repricing import Difference, asked, perform
from taximeter.reports.unpriced import backfill_wish
from taximeter.store.events import EventStore
from taximeter.store.events.repricing import UNFINISHED, Repricing

RUNS_KEPT_IN_VIEW: Final = 100
"""The newest runs, among which unfinished ones are looked for."""

TURN_SECONDS: Final = 0.5
"""How soon a run begins that was asked for."""

LOOK_SECONDS: Final = 60.0
"""Between two looks for unpriced calls, while prices stay the same: a batch may come that was priced before they
changed."""

OURSELVES: Final = "taximeter"
"""Who asks for a backfill."""

_log = logging.getLogger(__name__)


class Repricer:
    """Asks for runs and performs them. Every run is kept in the store before it begins, so none is forgotten."""

    def __init__(self, store: EventStore, book: Callable[[], PriceBook], clock: Clock, ids: EventIds) -> None:
        self._store = store
        self._book = book
        self._clock = clock
        self._ids = ids
        self._stopping = threading.Event()
        self._due = True
        """Whether there may be something to do: at the start, and after a wish."""
        self._looked_with: str | None = None
        self._look_again_at = 0.0
        self._progress: dict[str, tuple[int, int]] = {}

    def ask(self, request: Mapping[str, Any], by: str) -> Repricing:
        """Keep a wish as a run that waits. Raises UsageError for a wrong one, StoreError."""
        now_us = self._clock.now_us()
        run = asked(request, run_id=self._ids.new(now_us // 1000), by=by, now_us=now_us)
        self._store.restate((), run, now_us)
        self._due = True
        return run

    def run(self, run_id: str) -> Repricing:
        """A run as it stands. Raises NotFoundError."""
        found = self._store.repricings(limit=1, repricing_id=run_id)
        if not found:
            raise NotFoundError(f"there is no re-pricing {run_id}")
        return found[0]

    def runs(self, limit: int) -> list[Repricing]:
        """The newest runs."""
        return self._store.repricings(limit=limit)

    def progress(self, run_id: str) -> tuple[int, int] | None:
        """Calls that are done and how many there are, of a run under way."""
        return self._progress.get(run_id)

    def turn(self) -> None:
        """Perform what waits, and what a process that ended left unfinished, the oldest first; then, after a change of
        prices and now and again, look for unpriced calls that have a price by now."""
        if self._due:
            self._perform_waiting()
        version, now = self._book().version, self._clock.monotonic()
        due = version != self._looked_with or now >= self._look_again_at
        if due and not self._stopping.is_set():
            self.backfill()
            self._looked_with, self._look_again_at = version, now + LOOK_SECONDS

    def backfill(self) -> Repricing | None:
        """Price the calls that had no price when they came and may have one by now; None when there is nothing new."""
        now_us = self._clock.now_us()
        wish = backfill_wish(self._store, self._book().version, now_us)
        if wish is None:
            return None
        run = asked(wish, run_id=self._ids.new(now_us // 1000), by=OURSELVES, now_us=now_us, kind="backfill")
        self._store.restate((), run, now_us)
        done = self.perform(run)
        if done.state == "done":
            found = done.outcome
            _log.info("%s of %s unpriced calls have a price now", found["newly_priced"], found["examined"])
        return done

    def _perform_waiting(self) -> None:
        self._due = False
        waiting = [run for run in self._store.repricings(limit=RUNS_KEPT_IN_VIEW) if run.state in UNFINISHED]
        try:
            for run in reversed(waiting):
                self.perform(run)
        except TaximeterError:
            self._due = True
            raise

    def perform(self, run: Repricing, progress: Progress = lambda _done, _calls: None) -> Repricing:
        """Perform one run to its end. A run that cannot be performed is kept as failed. Raises StoreError."""

        def told(done: int, calls: int) -> None:
            self._progress[run.id] = done, calls
            progress(done, calls)

        try:
            return perform(run, self._book(), self._store, self._clock, told, self._stopping.is_set)
        except UsageError as error:
            _log.warning("re-pricing %s: %s", run.id, error)
            reached = self.run(run.id)
            outcome = {**Difference().as_dict(), **reached.outcome, "error": str(error)}
            failed = replace(reached, state="failed", outcome=outcome)
            self._store.restate((), failed, self._clock.now_us())
            return failed
        finally:
            self._progress.pop(run.id, None)

    def stop(self) -> None:
        """End the run under way after its slice; the next start goes on with it."""
        self._stopping.set()
