"""What is held survives a crash: an append-only file of lines, `{"key", "aggregate", "caller", "record"}` for what
waits and `{"dropped": [key, ...]}` for what waits no longer.

    add    on disk before the sender is answered                 a crash before it: the sender repeats
    drop   after what was held has counted, or is not needed     a crash before it: held again after the restart, and
                                                                 counted under the same event id, which counts once
The file is emptied when nothing waits, and written anew when most of it is dropped.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from taximeter.errors import SpoolError
from taximeter.ingest.otlp.trace_memory import Held
from taximeter.ingest.wire import WireEvent

REWRITE_BYTES: Final = 8 << 20
"""A file this large is written anew, without what was dropped."""

_encode: Final = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent something: what is bound to the key."""

    attributes: Mapping[str, str] | None = None
    attributes_win: bool = True
    api_key_id: str | None = None


class HeldFile:
    """The file in a data directory; it is made when the first span waits. Every method blocks, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[bytes, bytes] = {}
        self._size = 0
        self._writing = threading.Lock()

    def read(self, until_us: int) -> list[Held]:
        """What waited when the last process ended; each waits anew. A torn last line is left out."""
        waiting: dict[bytes, Held] = {}
        content = self._path.read_bytes() if self._path.exists() else b""
        for line in content.split(b"\n"):
            try:
                said = msgspec.json.decode(line)
                for key in said.get("dropped", ()):
                    waiting.pop(bytes.fromhex(key), None)
                if "key" in said:
                    held = _held(said, until_us)
                    waiting[held.key] = held
                    self._lines[held.key] = line
            except (msgspec.MsgspecError, ValueError, KeyError, TypeError, AttributeError):
                continue
        self._lines = {key: self._lines[key] for key in waiting}
        self._size = len(content)
        return list(waiting.values())

    def add(self, held: Iterable[Held]) -> None:
        """Returns when it is on disk. Raises SpoolError when the disk does not take it."""
        lines = {one.key: _line(one) for one in held}
        if lines:
            with self._writing:
                self._append(b"".join(line + b"\n" for line in lines.values()), durable=True)
                self._lines |= lines

    def drop(self, keys: Iterable[bytes]) -> None:
        """Forget what waits no longer. What the disk does not take is dropped again after the next restart."""
        with self._writing:
            gone = [key.hex() for key in keys if self._lines.pop(key, None) is not None]
            if gone and (not self._lines or self._size > REWRITE_BYTES):
                self._rewrite()
            elif gone:
                self._append(_encode({"dropped": gone}) + b"\n", durable=False)

    def _append(self, data: bytes, *, durable: bool) -> None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(fd, data)
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise SpoolError(f"held spans cannot be kept: {error.strerror}", hint=str(self._path)) from error
        self._size += len(data)

    def _rewrite(self) -> None:
        fresh = self._path.with_suffix(".new")
        content = b"".join(line + b"\n" for line in self._lines.values())
        try:
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise SpoolError(f"held spans cannot be kept: {error.strerror}", hint=str(fresh)) from error
        self._size = len(content)


def _line(held: Held) -> bytes:
    return _encode({"key": held.key.hex(), "aggregate": held.is_aggregate, "caller": held.caller, "record": held.event})


def _held(said: Mapping[str, Any], until_us: int) -> Held:
    caller = msgspec.convert(said["caller"], Caller)
    key = bytes.fromhex(said["key"])
    event = msgspec.convert(said["record"], WireEvent)
    return Held(key, event, until_us, caller, is_aggregate=bool(said["aggregate"]))
