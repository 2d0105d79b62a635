"""The writer of a spool: one for each process, called from any thread.

A line is handed to the operating system before `append` returns, so that a process killed in any way has lost
nothing. `fsync` follows in groups, so that power loss costs at most `sync_interval_ms`; who must not answer before
its lines are durable waits for that, and any number of waiters share one fsync.

A call that begins is only noted (`begun`): its begin record is written by the flusher, if it is still open then. A
call that ends before that leaves its event and nothing else.

What fails on disk is kept in memory within `memory_bytes` and tried again; what does not fit there any more is
counted in `losses`. Nothing here raises into the caller.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import math
import os
import re
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from taximeter.clock import Clock
from taximeter.errors import SpoolError
from taximeter.forks import fork_between_uses
from taximeter.spool.descriptors import Descriptor, kept
from taximeter.spool.limits import SpoolHealth, SpoolLimits, loss_reason
from taximeter.spool.liveness import hold, lock_path
from taximeter.spool.segments import FILE_MODE, Segment, list_segments, make_directory, seal, sync_directory

if TYPE_CHECKING:
    import asyncio

RETRY_SECONDS: Final = 0.1
"""Pause between two attempts to write to a disk that refused."""

LOOK_SECONDS: Final = 5.0
"""Pause between two looks whether our files are still there. Whether the one that is written to is still ours is asked
before each `fsync` as well."""

SURVEY_SECONDS: Final = 10.0
"""Pause between two looks at how full the directory is, which ask for the size of each segment in it."""

FULL_LOOK_SECONDS: Final = 1.0
"""Pause between two looks while there is no room for another segment: each asks how full the directory is."""

BEGIN_AFTER_MS: Final = 50
"""How long a call is open at least before its begin record is written: a short one needs none."""

BEGIN_LOOK_MS: Final = 250
"""Pause between two looks for calls that are open. Waking a thread takes longer than looking."""

BEGIN_WITHIN_MS: Final = BEGIN_AFTER_MS + BEGIN_LOOK_MS
"""How long a call may be open before its begin record is written, an fsync under way not counted. A process that is
killed earlier leaves nothing of the call."""

MOST_BEGINS: Final = 100
"""Begin records that are written at once: events wait as long."""

_LINE_BREAK: Final = ord("\n")
"""As a number: looking for bytes in bytes first raises an error and drops it again."""

_NEEDS_ANOTHER_FILE: Final = (errno.EFBIG, errno.EBADF)
"""The file is as large as it may be, and the next one starts small; somebody closed it."""


class Begun(Protocol):
    """A call that has begun, by identity."""

    def begin_line(self) -> bytes | None:
        """Its begin record. Called once at most, by any thread; the call's event waits meanwhile. It does not raise;
        None when there is no such record."""
        ...


@dataclass(slots=True)
class _Open:
    """A segment this writer holds open."""

    segment: Segment
    descriptor: Descriptor
    opened_at: float


@dataclass(slots=True)
class _Waiter:
    position: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


@dataclass(slots=True)
class _Files:
    """What belongs to this process alone and is left behind in a forked child."""

    name: str = ""
    lock: Descriptor | None = None
    number: int = 0
    current: _Open | None = None
    full: list[_Open] = field(default_factory=list)

    def descriptors(self) -> list[Descriptor]:
        opened = [*self.full, *([self.current] if self.current else [])]
        return [*([self.lock] if self.lock else []), *(one.descriptor for one in opened)]


@dataclass(slots=True)
class _Trouble:
    """What the disk did last when it refused, and when it is asked again."""

    retry_at: float = 0.0
    problem: str | None = None
    loss_reason: str = "io_error"


class _Bell:
    """Wakes the one thread that waits for it, and is silent again when that has heard it. The flusher waits many times
    for each time that it does anything, and `threading.Event` takes several times as long to wait for."""

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is ringing already
            self._silence.release()

    def hush(self) -> None:
        self._silence.acquire(blocking=False)

    def wait(self, seconds: float | None) -> bool:
        """Whether it rang within so many seconds."""
        return self._silence.acquire(timeout=-1 if seconds is None else seconds)


class Spool:
    """The one writer of this process in `directory`.

    Nothing is created before the first line: a constructor cannot fail on a read-only disk. `writer` is a short
    label (`sdk`, `gateway`); process id and start are added to it, so that no two writers share a name.

    Positions count the bytes ever accepted; `synced_position` is how far they are durable.
    """

    _files: _Files
    _fd: int
    """Of the current segment, -1 when there is none."""
    _room: int
    """Bytes the current segment still takes, -1 when there is none: the one comparison of the common road."""
    _directory_room: int
    _surveyed_at: float
    _looked_at: float
    _new_name: bool
    """A segment was created whose name is not yet durable."""
    awake: bool
    """The flusher has been told that there is something to do."""
    _waiting: deque[bytes]
    _waiting_bytes: int
    _behind: list[bytes] | None
    """While begin records are written: lines that finalizers of the same thread append, which come behind them."""
    _careful: bool
    """Lines wait, or begin records are being written: nothing goes the common road."""
    _waiters: list[_Waiter]
    _trouble: _Trouble
    _flusher: threading.Thread | None

    def __init__(self, directory: Path, *, clock: Clock, writer: str, limits: SpoolLimits | None = None) -> None:
        self.directory = Path(directory)
        self.limits = limits or SpoolLimits()
        self.losses: dict[str, int] = {}
        self.on_written: Callable[[], None] | None = None
        """Called by the flusher, at most once in `sync_interval_ms`, when there are new lines: a sender's `wake`."""
        self.begun: dict[Begun, float] = {}
        """Calls that are open and have no begin record so far, and when they began (`Clock.monotonic`). Whoever begins
        one puts it here, and wakes the flusher if it is not `awake`; if the call is still here `BEGIN_WITHIN_MS` later,
        its begin record is written, but none before `BEGIN_AFTER_MS` unless everything is made durable.
        Whoever ends one takes it out before its event is appended: so no begin record comes behind an event."""
        self._clock = clock
        self._label = re.sub(r"[^A-Za-z0-9_]", "_", writer)
        self._accepted = 0
        self._synced = 0
        self._closed = False
        self._start_afresh()
        _living.add(self)

    # -- what callers do ---------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Tell the flusher that there is something to do, unless it is `awake`."""
        with self._lock:
            self._wake_flusher()

    def append(self, line: bytes) -> bool:
        """Take one JSON object without a line break. False when it had to be dropped (see `losses`)."""
        return self.append_line(line + b"\n")

    def append_line(self, data: bytes) -> bool:
        """The same with the line break behind it, for who can have it there without another copy."""
        size = len(data)
        lock = self._lock
        lock.acquire()  # not `with`, which is twice as dear where the caches are cold
        try:
            if size > self._room or self._careful or data.find(_LINE_BREAK) != size - 1:
                return self._append_with_care((data,))
            try:
                written = os.write(self._fd, data)
            except OSError as error:
                return self._refused((data,), 0, error)
            if written != size:
                written, failed = self._write_rest(data, written)
                if failed is not None:
                    return self._refused((data,), written, failed)
            self._room -= size
            self._accepted += size
            if not self.awake:
                self._wake_flusher()
            return True
        finally:
            lock.release()

    def extend(self, lines: Sequence[bytes]) -> bool:
        """Take several lines, in one write. False when any of them had to be dropped."""
        if not lines:
            return True
        batch = [line + b"\n" for line in lines]
        with self._lock:
            return self._append_with_care(batch)

    @property
    def in_memory(self) -> bool:
        """Whether lines wait in memory because the disk refuses them. Asked right after an `append`: whether its line
        may be among them, and would be lost with this process."""
        return bool(self._waiting)

    @property
    def position(self) -> int:
        """Bytes accepted so far: what an `append` that has just returned must wait for."""
        return self._accepted

    @property
    def _written(self) -> int:
        """Bytes of them that the operating system has."""
        return self._accepted - self._waiting_bytes

    @property
    def synced_position(self) -> int:
        """Bytes that are durable."""
        return self._synced

    def sync(self) -> bool:
        """fsync everything accepted so far, and what calls are open; True when all of it is durable. Blocks for the
        time of the disk."""
        self._write_begun()
        target = self._accepted
        if self._synced < target:
            with self._lock:
                self._drain()
            self._sync_written()
        return self._synced >= target

    async def durable(self, position: int | None = None) -> None:
        """Return once everything up to `position` (default: all accepted so far) is durable.

        Waits on the event loop, not in a thread; all who wait share the next fsync. Raises SpoolError when the
        disk refuses.
        """
        from asyncio import get_running_loop  # a third of this room's import time; the SDK never comes here

        loop = get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            target = self._accepted if position is None else position
            if self._synced >= target:
                return
            if self._waiting or self._closed:
                raise SpoolError(
                    "the spool cannot write to its disk", hint=self._trouble.problem, directory=str(self.directory)
                )
            self._waiters.append(_Waiter(target, loop, future))
            self._hurry.ring()
            self._wake_flusher()
        await future

    def waiting(self) -> list[bytes]:
        """The lines that wait in memory because the disk refuses them, oldest first."""
        with self._lock:
            return list(self._waiting)

    def health(self) -> SpoolHealth:
        with self._lock:
            return SpoolHealth(
                directory=str(self.directory),
                writer=self._files.name,
                waiting_lines=len(self._waiting),
                waiting_bytes=self._waiting_bytes,
                unsynced_bytes=self._written - self._synced,
                problem=self._trouble.problem,
                losses=dict(self.losses),
            )

    def close(self) -> None:
        """Write what waits, seal the segments, stop the flusher. What can then not be written is counted lost.

        The lock file stays behind without its lock: the next `adopt` looks after calls that never ended.
        """
        with self._lock:
            if self._closed:
                return
            self._write_begun()
            self._drain()
            self._closed = True
            self._room = -1
            self._retire()
            self._wake_flusher()
            self._hurry.ring()
        self._sync_written()
        with self._lock:
            self._count_loss(self._trouble.loss_reason, len(self._waiting))
            self._waiting.clear()
            self._careful = False
            for descriptor in self._files.descriptors():
                with contextlib.suppress(OSError):
                    descriptor.close()
            self._files = _Files()

    # -- writing, under the lock -------------------------------------------------------------------------------

    def _append_with_care(self, batch: Sequence[bytes]) -> bool:
        """The road for everything unusual, and for several lines at once."""
        if self._behind is not None:
            self._behind.extend(batch)
            return True
        return self._write_batch(batch)

    def _write_batch(self, batch: Sequence[bytes]) -> bool:
        good = [data for data in batch if self._acceptable(data)]
        size = sum(map(len, good))
        self._drain()
        if self._waiting or not (size <= self._room or self._make_room(size)):
            return self._keep(good) and len(good) == len(batch)
        written, failed = self._write_rest(b"".join(good), 0)
        if failed is not None:
            return self._refused(good, written, failed) and len(good) == len(batch)
        self._advance(size)
        self._accepted += size
        return len(good) == len(batch)

    def _acceptable(self, data: bytes) -> bool:
        if self._closed:
            self._count_loss("closed", 1)
        elif len(data) > self.limits.line_bytes:
            self._count_loss("too_long", 1)
        elif data.index(b"\n") != len(data) - 1:
            self._count_loss("not_one_line", 1)
        else:
            return True
        return False

    def _advance(self, size: int) -> None:
        self._room -= size
        if not self.awake:
            self._wake_flusher()

    def _refused(self, batch: Sequence[bytes], written: int, error: OSError) -> bool:
        """The disk took only `written` bytes of `batch`: keep the whole lines, undo the torn one, wait with the rest.

        Undoing is safe: readers never pass the last line break.
        """
        whole_lines, whole_bytes = 0, 0
        while whole_bytes + len(batch[whole_lines]) <= written:
            whole_bytes += len(batch[whole_lines])
            whole_lines += 1
        self._accepted += whole_bytes
        self._advance(whole_bytes)
        if written > whole_bytes:
            self._undo(written - whole_bytes)
        self._note(error)
        return self._keep(batch[whole_lines:])

    def _undo(self, torn_bytes: int) -> None:
        try:
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - torn_bytes)
        except OSError:
            self._retire()  # the torn line stays the last of its segment, where readers skip and count it

    def _keep(self, batch: Sequence[bytes]) -> bool:
        """Hold lines in memory until the disk takes them; count those that do not fit."""
        kept = True
        for data in batch:
            if self._waiting_bytes + len(data) > self.limits.memory_bytes:
                self._count_loss(self._trouble.loss_reason, 1)
                kept = False
                continue
            self._waiting.append(data)
            self._careful = True
            self._waiting_bytes += len(data)
            self._accepted += len(data)
        if self._waiting and not self.awake:
            self._wake_flusher()
        return kept

    def _drain(self) -> None:
        """Try to write what waits in memory, oldest first, one line at a time (so that none is ever half gone)."""
        if not self._waiting or self._clock.monotonic() < self._trouble.retry_at:
            return
        while self._waiting:
            data = self._waiting[0]
            if not (len(data) <= self._room or self._make_room(len(data))) or not self._write_waiting(data):
                self._trouble.retry_at = self._clock.monotonic() + RETRY_SECONDS
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(data)
        self._trouble.problem = None
        self._careful = self._behind is not None

    def _write_waiting(self, data: bytes) -> bool:
        written, failed = self._write_rest(data, 0)
        if failed is None:
            self._advance(written)
            return True
        if written:
            self._undo(written)
        self._note(failed)
        return False

    def _write_rest(self, data: bytes, written: int) -> tuple[int, OSError | None]:
        """Write `data` from byte `written` on; how many bytes of it are in the file then, and why not all.

        A write that was cut short says nothing of the reason: the next one does.
        """
        while written < len(data):
            try:
                written += os.write(self._fd, memoryview(data)[written:])
            except OSError as error:
                return written, error
        return written, None

    def _make_room(self, size: int) -> bool:
        """A current segment that takes `size` bytes more; False (and the reason noted) when there cannot be one."""
        if self._closed:
            return False
        try:
            if self._directory_room < 0 or not self._files.name:
                self._survey(_bytes_of(list_segments(self.directory)))
            if size > self._directory_room:
                self._trouble.problem = "the spool is at its bound of total_bytes"
                self._trouble.loss_reason = "spool_full"
                return False
            self._roll()
        except OSError as error:
            self._note(error)
            return False
        return True

    def _roll(self) -> None:
        """Retire the current segment and begin the next. Raises OSError."""
        self._retire()
        files = self._files
        if not files.name:
            make_directory(self.directory)
            name = f"{self._label}-{os.getpid()}-{self._clock.now_us():x}"
            files.lock = kept(hold(lock_path(self.directory, name)))
            files.name = name
        segment = Segment(self.directory, files.name, files.number + 1)
        descriptor = kept(os.open(segment.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, FILE_MODE))
        files.number += 1
        files.current = _Open(segment, descriptor, self._clock.monotonic())
        self._new_name = True
        self._fd = descriptor.number
        self._room = min(self.limits.segment_bytes, self._directory_room)
        # One line may be longer than a whole segment is meant to be: it then has a segment to itself.
        self._room = max(self._room, min(self.limits.line_bytes, self._directory_room))
        self._directory_room -= self._room

    def _retire(self) -> None:
        """Hand the current segment over for sealing, and give back what it did not use."""
        current, self._files.current = self._files.current, None
        if current is not None:
            self._files.full.append(current)
            self._directory_room += max(self._room, 0)
        self._fd, self._room = -1, -1

    def _survey(self, used_bytes: int) -> None:
        """How many more bytes the directory may take, when the segments in it are so large."""
        self._directory_room = self.limits.total_bytes - used_bytes - max(self._room, 0)
        self._surveyed_at = self._clock.monotonic()

    def _note(self, error: OSError) -> None:
        self._trouble.loss_reason = loss_reason(error)
        self._trouble.problem = f"{self._trouble.loss_reason}: {error}"
        self._trouble.retry_at = self._clock.monotonic() + RETRY_SECONDS
        if error.errno in _NEEDS_ANOTHER_FILE:
            self._retire()

    def _count_loss(self, reason: str, lines: int) -> None:
        if lines:
            self.losses[reason] = self.losses.get(reason, 0) + lines

    def _write_lasting(self) -> None:
        """Write the begin records of the calls that are open for a while."""
        if self.begun:
            self._write_begun(self._clock.monotonic() - BEGIN_AFTER_MS / 1000)

    def _write_begun(self, until: float = math.inf) -> None:
        """Write the begin records of the calls that are open and began until then, and let nobody wait for all of
        them."""
        begun = self.begun
        calls = [] if self._closed else [call for call in list(begun) if begun.get(call, math.inf) <= until]
        for start in range(0, len(calls), MOST_BEGINS):
            with self._lock:
                self._write_begins(calls[start : start + MOST_BEGINS])

    def _write_begins(self, calls: Sequence[Begun]) -> None:
        """Under the lock, for which the events of these calls wait. Those that a finalizer appends in this very thread,
        which has the lock, are put behind."""
        behind = self._behind = list[bytes]()
        self._careful = True
        try:
            lines = [call.begin_line() for call in calls if self.begun.pop(call, None) is not None]
            if batch := [line + b"\n" for line in lines if line]:
                self._write_batch(batch)
        finally:
            self._behind = None
            self._careful = bool(self._waiting)
        if behind:
            self._append_with_care(behind)

    # -- making it durable -------------------------------------------------------------------------------------

    def _sync_written(self) -> None:
        """One fsync for everybody who waits at this moment."""
        with self._sync_lock:
            with self._lock:
                target, current, new_name = self._written, self._files.current, self._new_name
                full = list(self._files.full)
                self.awake = self._new_name = False
                if self.begun:  # they saw that the flusher had been told
                    self._wake_flusher()
            try:
                self._seal_all(full)
                if current is not None and self._synced < target:
                    current.descriptor.sync()
                if new_name and current is not None:
                    sync_directory(self.directory)
            except OSError as error:
                self._sync_failed(error, target)
                return
            with self._lock:
                self._synced = target
                self._release_waiters(target, None)

    def _seal_all(self, full: Sequence[_Open]) -> None:
        for opened in full:
            path = opened.segment.path
            if not path.exists():
                self._rescue(opened)
            elif path.stat().st_size == 0:
                path.unlink(missing_ok=True)
            else:
                seal(opened.segment)
            with self._lock:
                self._files.full.remove(opened)
                opened.descriptor.close()

    def _sync_failed(self, error: OSError, target: int) -> None:
        """After a failed fsync the kernel may have thrown the pages away, and the next fsync would not say so: what
        was under way is reported as not durable, and later lines go to another file."""
        with self._lock:
            self._note(error)
            self._retire()
            self._release_waiters(target, SpoolError("the disk did not confirm a write", hint=str(error)))

    def _release_waiters(self, position: int, error: SpoolError | None) -> None:
        due = [w for w in self._waiters if w.position <= position]
        self._waiters = [w for w in self._waiters if w.position > position]
        for loop in {w.loop for w in due}:
            futures = [w.future for w in due if w.loop is loop]
            with contextlib.suppress(RuntimeError):  # the loop was closed; nobody waits there any more
                loop.call_soon_threadsafe(_resolve, futures, error)

    # -- the flusher -------------------------------------------------------------------------------------------

    def _wake_flusher(self) -> None:
        self.awake = True
        if self._flusher is None and not self._closed:
            self._start_flusher()
        self._wake.ring()

    def _start_flusher(self) -> None:
        """With bells of its own kind: gevent and its like replace threads and locks, perhaps long after this spool was
        made (in a worker of a server that had imported the application), and what only looks like a thread must not
        wait for a real lock: nothing else would run."""
        self._wake, self._hurry = _Bell(), _Bell()
        self._flusher = flusher = threading.Thread(target=self._flush_until_closed, name="taximeter-spool", daemon=True)
        try:
            flusher.start()
        except RuntimeError:  # no new threads while the interpreter ends; close() still seals
            self._flusher = None

    def _flush_until_closed(self) -> None:
        while not self._closed:
            self._wake.wait(self._idle_seconds())
            if not self._waiters:
                self._gather()
            self._hurry.hush()
            if not self._closed:
                done = self._guarded(self._flush_and_tell)
                if not done:
                    self._hurry.wait(RETRY_SECONDS)
                    self._wake.ring()  # nobody else does for lines that it had been told of

    def _gather(self) -> None:
        """Let lines come together for one fsync, and look meanwhile for calls that stay open."""
        left_ms = self.limits.sync_interval_ms
        while left_ms > 0 and not self._hurry.wait(min(left_ms, BEGIN_LOOK_MS) / 1000):
            left_ms -= BEGIN_LOOK_MS
            self._guarded(self._write_lasting)

    def _flush_and_tell(self) -> None:
        self.flush()
        if self.on_written is not None:
            self.on_written()

    def _guarded(self, step: Callable[[], None]) -> bool:
        """Whether it went well."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - without its flusher nobody's lines would ever become durable
            self._trouble.problem = f"unexpected: {error!r}"
            return False
        return True

    def _idle_seconds(self) -> float | None:
        """How long nothing needs to be done if nothing is appended."""
        with self._lock:
            current = self._files.current
            if self._waiting or self._files.full:
                return RETRY_SECONDS
            if current is None:
                return None
            age = self._clock.monotonic() - current.opened_at
            return max(self.limits.segment_age_seconds - age, 0.01)

    def flush(self) -> None:
        """What the flusher does each time: write what calls last, and what waits, roll an old segment, fsync, look at
        the directory."""
        self._write_lasting()
        with self._lock:
            now = self._clock.monotonic()
            self._drain()
            current = self._files.current
            if current is not None and now - current.opened_at >= self.limits.segment_age_seconds:
                self._retire()
            due = now - self._looked_at >= (FULL_LOOK_SECONDS if self._short_of_room else LOOK_SECONDS)
        self._sync_written()
        if due:
            self._look_around()

    def _look_around(self) -> None:
        """The directory is gone through without the lock, so that no line waits for it; what is written meanwhile is
        added to what was found, be it in there already or not."""
        try:
            with self._sync_lock:
                written = self._written
                segments = list_segments(self.directory) if self._survey_is_due() else None
                used_bytes, removed = _bytes_of(segments or ()), self._seems_removed()
                with self._lock:
                    self._looked_at = self._clock.monotonic()
                    if segments is not None:
                        self._survey(used_bytes + self._written - written)
                    if removed:
                        self._notice_removal()
            self._expire(segments or ())
        except OSError as error:
            with self._lock:
                self._note(error)

    def _survey_is_due(self) -> bool:
        return self._short_of_room or self._clock.monotonic() - self._surveyed_at >= SURVEY_SECONDS

    @property
    def _short_of_room(self) -> bool:
        return self._directory_room < self.limits.segment_bytes

    def _seems_removed(self) -> bool:
        return bool(self._files.name) and not (self._holds_lock() and self._holds_current())

    def _holds_lock(self) -> bool:
        files = self._files
        return files.lock is not None and files.lock.ours() and lock_path(self.directory, files.name).exists()

    def _holds_current(self) -> bool:
        current = self._files.current
        return current is None or (current.descriptor.ours() and current.segment.path.exists())

    def _notice_removal(self) -> None:
        """Somebody deleted files under us, or closed them: write no more into nothing; what is still open is rescued on
        sealing."""
        files = self._files
        if files.name and not self._holds_lock():
            if files.lock is not None:
                files.lock.close()
            self._retire()
            files.name, files.lock, files.number = "", None, 0
        elif not self._holds_current():
            self._retire()

    def _rescue(self, opened: _Open) -> None:
        """Write the lines of a file that has been deleted once more, elsewhere."""
        if not opened.descriptor.ours():
            return
        number = opened.descriptor.number
        content = os.pread(number, os.fstat(number).st_size, 0)
        with self._lock:
            self._append_with_care([line + b"\n" for line in content.split(b"\n")[:-1]])

    def _expire(self, segments: Sequence[Segment]) -> None:
        oldest_s = self._clock.now_us() / 1_000_000 - self.limits.age_seconds
        for segment in segments:
            with contextlib.suppress(FileNotFoundError):
                if segment.sealed and segment.path.stat().st_mtime < oldest_s:
                    lines = segment.path.read_bytes().count(b"\n")
                    segment.path.unlink()
                    with self._lock:
                        self._count_loss("expired", lines)

    # -- forks -------------------------------------------------------------------------------------------------

    def _start_afresh(self) -> None:
        """The state of a process that has written nothing yet."""
        self._lock = threading.RLock()  # a finalizer may append while the same thread is appending
        self._sync_lock = threading.Lock()
        self._wake = _Bell()
        self._hurry = _Bell()
        self._flusher = None
        self._files = _Files()
        self._fd = -1
        self._room = -1
        self._directory_room = -1
        self._surveyed_at = self._looked_at = self._clock.monotonic()
        self._new_name = False
        self.awake = False
        self._waiting = deque()
        self._waiting_bytes = 0
        self._behind = None
        self._careful = False
        self._waiters = []
        self._trouble = _Trouble()

    def _leave_to_parent(self) -> None:
        """In a forked child: everything open belongs to the parent, also the lines that wait. Close, never unlock."""
        for descriptor in self._files.descriptors():
            with contextlib.suppress(OSError):
                descriptor.close()
        self._start_afresh()
        self.begun.clear()
        self.losses = {}
        self._accepted = self._synced = 0


def _bytes_of(segments: Iterable[Segment]) -> int:
    """How large they are together. Raises OSError."""
    used = 0
    for segment in segments:
        with contextlib.suppress(FileNotFoundError):
            used += segment.path.stat().st_size
    return used


def _resolve(futures: Sequence[asyncio.Future[None]], error: SpoolError | None) -> None:
    for future in futures:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


_living: weakref.WeakSet[Spool] = weakref.WeakSet()


def _close_all() -> None:
    for spool in list(_living):
        spool.close()


# Between two appends, so that the child knows exactly what it has inherited.
fork_between_uses(_living, lambda spool: spool._lock, Spool._leave_to_parent)
atexit.register(_close_all)
