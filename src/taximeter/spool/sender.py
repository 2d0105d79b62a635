"""The sender: ships the spool in a directory to a server, at least once; the event id makes it once there.

1. Read the next lines behind the marks.
2. Post the events among them. A crash before the answer repeats 1 and 2: the server counts them once.
3. Keep what the server rejects in `rejected.ndjson`, and its count.
4. Advance the marks in `sent.json`. A crash before it is a crash before 2.
5. Delete segments of which everything is acknowledged.

One process ships a directory at a time (`sender.lock`); the others' senders wait to take over.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from taximeter.clock import Clock
from taximeter.core.outcome import is_outcome
from taximeter.spool.descriptors import Descriptor, kept
from taximeter.spool.endpoint import EventsEndpoint, Reply
from taximeter.spool.liveness import try_hold
from taximeter.spool.reader import Batch, SpoolReader, sizes
from taximeter.spool.recovery import RECORD_KEY, OpenCalls, adopt, follow, open_calls
from taximeter.spool.rejected import RejectedLines
from taximeter.spool.release import Releaser
from taximeter.spool.segments import list_segments, make_directory
from taximeter.spool.writer import Spool

MARKS_NAME: Final = "sent.json"
LOCK_NAME: Final = "sender.lock"

POLL_SECONDS: Final = 0.5
"""Pause between looks for other processes' lines; the own process's writer wakes the sender at once."""

TAKE_OVER_SECONDS: Final = 5.0
ADOPT_SECONDS: Final = 5.0
FIRST_BACKOFF_SECONDS: Final = 0.5
LONGEST_BACKOFF_SECONDS: Final = 60.0
REFUSED_SECONDS: Final = 60.0
"""Pause after a 401 or 403: trying faster does not make a key right."""

STOP_SECONDS: Final = 2.0
FLUSH_LOOK_SECONDS: Final = 0.02

_TOO_MUCH: Final = 413
_WRONG: Final = (400, 413, 422)
_FORBIDDEN: Final = (401, 403)


@dataclass(frozen=True, slots=True)
class SenderLimits:
    batch_lines: int = 500
    batch_bytes: int = 1 << 20
    timeout_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class SenderStatus:
    """How a sender is. `sending` says whether this process is the one that ships the directory."""

    address: str
    sending: bool
    sent_events: int
    duplicate_events: int
    rejected_events: Mapping[str, int]
    failures: int
    last_error: str | None
    unsent_bytes: int


class NotNowError(Exception):
    """The server does not take events at present; all of them are kept."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class _Counts:
    sent: int = 0
    duplicates: int = 0
    failures: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class _Progress:
    """What the process that ships the directory knows; nobody else's is valid."""

    lock: Descriptor
    marks: dict[str, int]
    calls: OpenCalls
    reader: SpoolReader
    adopt_at: float


class Sender:
    """Ships everything in the directory of `spool`, other writers' lines too, to the server at `url`, in a daemon
    thread. The spool wakes it when it has written; it starts by itself then, also in a forked child.

    `chance` gives numbers from 0 to 1 for the jitter of pauses. Raises UsageError for a URL that is none.
    """

    _thread: threading.Thread | None
    _progress: _Progress | None

    def __init__(
        self,
        spool: Spool,
        *,
        url: str,
        key: str | None,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        limits: SenderLimits | None = None,
    ) -> None:
        self.directory = spool.directory
        self._limits = limits or SenderLimits()
        self._url, self._key = url, key
        self._clock = clock
        self._chance = chance
        self._rejected = RejectedLines(self.directory)
        self._releaser = Releaser(self.directory, clock, retention_seconds=0.0)
        self._start_afresh()
        _living.add(self)
        spool.on_written = self.wake

    # -- what callers do ---------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()
        if self._thread is None and not self._stopping.is_set():
            self.start()

    def start(self) -> None:
        """Start the thread, if it is not running."""
        if not self._start_lock.acquire(blocking=False):
            return  # it is being started, perhaps by a greenlet that only runs again when we do
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="taximeter-sender", daemon=True)
                with contextlib.suppress(RuntimeError):  # no new threads while the interpreter ends
                    thread.start()
                    self._thread = thread
        finally:
            self._start_lock.release()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything that is on disk now has been acknowledged; False when that took too long."""
        wanted = {segment.id: size for segment, size in sizes(self.directory)}
        deadline = self._clock.monotonic() + timeout_seconds
        self._hurry.set()
        self.wake()
        while not self._acknowledged(wanted):
            if self._clock.monotonic() >= deadline:
                return False
            self._stopping.wait(FLUSH_LOOK_SECONDS)
        return True

    def stop(self) -> None:
        """End after the batch under way, and wait for that, but not longer than `STOP_SECONDS`: what was not
        acknowledged is sent by the next process."""
        self._stopping.set()
        self._wake.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                return
            self._thread = None
        self._let_go()

    @property
    def status(self) -> SenderStatus:
        counts, progress = self._counts, self._progress
        marks = progress.marks if progress else _load_marks(self.directory)
        return SenderStatus(
            address=self._endpoint.address,
            sending=progress is not None,
            sent_events=counts.sent,
            duplicate_events=counts.duplicates,
            rejected_events=dict(self._rejected.counts),
            failures=counts.failures,
            last_error=counts.last_error,
            unsent_bytes=SpoolReader(self.directory).unread_bytes(marks),
        )

    def _acknowledged(self, wanted: Mapping[str, int]) -> bool:
        progress = self._progress
        marks = progress.marks if progress else _load_marks(self.directory)
        here = {segment.id for segment in list_segments(self.directory)}
        return all(marks.get(name, 0) >= size or name not in here for name, size in wanted.items())

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                handled = self.step()
            except (NotNowError, OSError) as error:
                failures += 1
                self._counts.failures += 1
                self._counts.last_error = str(error)
                self._hurry.wait(self._pause_seconds(failures, error))
            except Exception as error:  # noqa: BLE001 - the host's process must not see it; the events stay on disk
                failures += 1
                self._counts.last_error = repr(error)
                self._stopping.wait(LONGEST_BACKOFF_SECONDS)
            else:
                failures = 0
                self._counts.last_error = None
                if not handled:
                    self._wake.wait(POLL_SECONDS if self._progress else TAKE_OVER_SECONDS)
            self._wake.clear()
            self._hurry.clear()

    def _pause_seconds(self, failures: int, error: Exception) -> float:
        if isinstance(error, NotNowError) and error.retry_after_seconds is not None:
            return error.retry_after_seconds
        longest = min(FIRST_BACKOFF_SECONDS * 2.0 ** min(failures - 1, 16), LONGEST_BACKOFF_SECONDS)
        return longest * (0.5 + self._chance() / 2)

    # -- one step ----------------------------------------------------------------------------------------------

    def step(self) -> int:
        """Ship one batch; how many lines were dealt with, 0 when there are none or another process ships.

        Raises NotNowError when the server does not take them, OSError when it cannot be reached.
        """
        progress = self._progress or self._take_over()
        if progress is None:
            return 0
        now = self._clock.monotonic()
        if now >= progress.adopt_at:
            progress.adopt_at = now + ADOPT_SECONDS
            adopt(self.directory)
        limits = self._limits
        batch = progress.reader.read(progress.marks, limit_bytes=limits.batch_bytes, limit_lines=limits.batch_lines)
        if batch:
            events = [line for line in batch.lines if not _is_note(line)]
            if events:
                self._ship(events)
            self._advance(progress, batch)
        gone = self._releaser.release(progress.marks, progress.calls, progress.reader.damaged)
        for name in gone:
            progress.marks.pop(name, None)
        return len(batch.lines)

    def _take_over(self) -> _Progress | None:
        """Become the one that ships this directory, if nobody is. Raises OSError."""
        make_directory(self.directory)
        lock_fd = try_hold(self.directory / LOCK_NAME)
        if lock_fd is None:
            return None
        lock = kept(lock_fd)
        here = {segment.id for segment in list_segments(self.directory)}
        marks = {name: mark for name, mark in _load_marks(self.directory).items() if name in here}
        calls = open_calls(self.directory, marks)
        self._progress = _Progress(lock, marks, calls, SpoolReader(self.directory), self._clock.monotonic())
        return self._progress

    def _let_go(self) -> None:
        progress, self._progress = self._progress, None
        self._endpoint.close()
        if progress is not None:
            progress.lock.close()

    def _advance(self, progress: _Progress, batch: Batch) -> None:
        for piece in batch.pieces:
            for line in piece.lines:
                follow(line, piece.segment, progress.calls)
        progress.marks.update(batch.marks)
        _save_marks(self.directory, progress.marks)

    def _ship(self, lines: Sequence[bytes]) -> None:
        """Post events until each is acknowledged or known to be unacceptable. Raises NotNowError or OSError."""
        reply = self._endpoint.post(lines)
        if reply.status in (200, 202) and reply.ours:
            self._settle(lines, reply)
        elif reply.status in _WRONG and (reply.ours or reply.status == _TOO_MUCH):
            self._divide(lines, reply)
        elif reply.status in _FORBIDDEN:
            raise NotNowError(reply.message, REFUSED_SECONDS)
        else:
            raise NotNowError(reply.message, reply.retry_after_seconds)

    def _settle(self, lines: Sequence[bytes], reply: Reply) -> None:
        self._counts.sent += int(reply.body.get("accepted", 0))
        self._counts.duplicates += int(reply.body.get("duplicates", 0))
        for rejection in reply.body.get("rejected", ()):
            line = lines[rejection["index"]]
            self._rejected.add(str(rejection["code"]), str(rejection.get("message")), line)

    def _divide(self, lines: Sequence[bytes], reply: Reply) -> None:
        """The server takes the batch as a whole for wrong or too large: find out which line it is."""
        if len(lines) == 1:
            self._rejected.add(f"http_{reply.status}", reply.message, lines[0])
            return
        middle = len(lines) // 2
        self._ship(lines[:middle])
        self._ship(lines[middle:])

    # -- forks -------------------------------------------------------------------------------------------------

    def _start_afresh(self) -> None:
        self._endpoint = EventsEndpoint(self._url, self._key, timeout_seconds=self._limits.timeout_seconds)
        self._start_lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._stopping = threading.Event()
        self._thread = None
        self._progress = None
        self._counts = _Counts()

    def _leave_to_parent(self) -> None:
        """In a forked child: the parent ships on. Close the lock's descriptor, never unlock it."""
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.lock.close()
        stopped = self._stopping.is_set()
        self._start_afresh()
        if stopped:
            self._stopping.set()


def _is_note(line: bytes) -> bool:
    """Whether a line is a begin or progress record: those are for the spool alone."""
    if RECORD_KEY not in line or is_outcome(line):
        return False
    try:
        record = json.loads(line)
    except ValueError:
        return False
    return isinstance(record, dict) and "record" in record


def _load_marks(directory: Path) -> dict[str, int]:
    """The saved marks. None or broken ones only mean that events are sent again, which counts once."""
    try:
        saved: Any = json.loads((directory / MARKS_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _save_marks(directory: Path, marks: Mapping[str, int]) -> None:
    unfinished = directory / f".{MARKS_NAME}.unfinished"
    unfinished.write_text(json.dumps(marks))
    unfinished.rename(directory / MARKS_NAME)


_living: weakref.WeakSet[Sender] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for sender in list(_living):
        sender._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
