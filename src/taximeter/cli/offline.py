"""The data directory as a source of answers, when no server is running on it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from taximeter.cli.console import ERR
from taximeter.clock import Clock, SystemClock
from taximeter.compose.offline import Offline, offline
from taximeter.config import file
from taximeter.errors import NotFoundError
from taximeter.ingest.collector import Collector
from taximeter.pricing import PriceBook
from taximeter.reports.asking import Progress as Told
from taximeter.reports.backtest import backtest
from taximeter.reports.caching import caching
from taximeter.reports.chargeback import chargeback
from taximeter.reports.differences import differences
from taximeter.reports.forecast import forecast
from taximeter.reports.questions import answer_question
from taximeter.reports.reconcile import reconcile
from taximeter.reports.repricing import cost_history
from taximeter.reports.unpriced import unpriced
from taximeter.reports.what_if import what_if
from taximeter.reports.why import parse_why, why
from taximeter.store.events import parse_event_query, parse_query
from taximeter.store.events.instants import parse_instant
from taximeter.store.events.sql_answer import as_json

LONG_BYTES: Final = 20 * 1024 * 1024
"""From so many waiting bytes on, a progress bar is shown."""


@contextmanager
def open_directory(data: Path) -> Iterator[OfflineSource]:
    """The directory, with everything that waits in its spool taken in.

    Raises NotFoundError when there is no such directory, DirectoryInUseError, StoreError.
    """
    if not data.is_dir():
        raise NotFoundError(
            f"there is no data directory {data}", hint="start with `taximeter up`, or name another one with --data"
        )
    with offline(file.load().settings, data) as opened:
        source = OfflineSource(opened, SystemClock())
        source.take_in()
        yield source


class OfflineSource:
    """Answers from the files; takes in what was added to the spool meanwhile before each one."""

    def __init__(self, opened: Offline, clock: Clock) -> None:
        self._opened = opened
        self._clock = clock

    def take_in(self) -> None:
        """Collect what waits, with a progress bar when that is much."""
        collector = self._opened.collector
        collector.step()
        waiting = collector.status.lag_bytes
        if waiting >= LONG_BYTES and ERR.is_terminal:
            _collect_visibly(collector, waiting)
        while collector.step():
            pass

    def query(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return self._opened.store.query(parse_query(question, self._clock.now_us())).as_dict()

    def question(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return answer_question(name, given, self._opened.store, self._clock.now_us())

    def sql(self, statement: str) -> dict[str, Any]:
        self.take_in()
        return as_json(self._opened.store.sql(statement))

    def events(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        page = self._opened.store.events(parse_event_query(asked, self._clock.now_us()))
        return {"events": page.events, "next": page.next}

    def verify(self, *, repair: bool, told: Told) -> dict[str, Any]:
        self.take_in()
        self._opened.store.roll_up(self._clock.now_us())
        return self._opened.store.verify(repair=repair, told=told).as_dict()

    def delete_user(self, user_id: str) -> dict[str, Any]:
        self.take_in()
        done = self._opened.store.delete_user(user_id, self._clock.now_us())
        return {"events": done.events, "outcomes": done.outcomes, "remaining_rows": done.remaining_rows}

    def why(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return why(parse_why(question, self._clock.now_us()), self._opened.store).as_dict()

    def chargeback(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return chargeback(request, self._opened.terms, self._opened.store, self._clock.now_us())

    def reconcile(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return reconcile(request, self._opened.store, self._opened.prices, self._clock.now_us())

    def forecast(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        return forecast(question, self._opened.store, self._clock.now_us()).as_dict()

    def backtest(self, question: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        now_us = self._clock.now_us()
        from_us, to_us = (parse_instant(question[name], now_us, "UTC", field=name) for name in ("from", "to"))
        return backtest(file.load().settings.anomalies, self._opened.store, from_us, to_us).as_dict()

    def reprice(self, request: Mapping[str, Any], progress: Told) -> dict[str, Any]:
        self.take_in()
        repricer = self._opened.repricer
        repricer.turn()  # what was cut off comes first
        run = repricer.perform(repricer.ask(request, _user()), progress)
        return run.as_dict()

    def cost_history(self, event_id: str) -> dict[str, Any]:
        self.take_in()
        return cost_history(self._opened.store, event_id)

    def price_report(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        self.take_in()
        opened, now_us = self._opened, self._clock.now_us()
        if name == "unpriced":
            return unpriced(request, opened.store, opened.prices, now_us)
        if name == "differences":
            return differences(request, opened.store, opened.prices, now_us)
        return caching(request, opened.store, now_us)

    def what_if(self, request: Mapping[str, Any], book: PriceBook, progress: Told) -> dict[str, Any]:
        self.take_in()
        return what_if(request, book, self._opened.store, self._clock.now_us(), progress).as_dict()


def _user() -> str:
    """The name of the user who runs this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _collect_visibly(collector: Collector, waiting: int) -> None:
    columns = (TextColumn("taking in what waits"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True) as progress:
        task = progress.add_task("collect", total=waiting)
        while collector.step():
            progress.update(task, completed=waiting - collector.status.lag_bytes)
