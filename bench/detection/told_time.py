"""A real server whose time is told to it: `python -m bench.detection.told_time CONFIGURATION DATA TIMES`.

TIMES is a file of three moments in microseconds since the epoch and a number, shared by mapping it. The other side sets
`told`, the server's time, `posted`, how many events it has posted, and `asked`, up to which detection shall look when
they are stored; the server sets `watched`, up to which it has looked, and writes its address as the first line. When
what is asked for leaps by more than a day, detection learns what was stored meanwhile, as a start would.
"""

from __future__ import annotations

import mmap
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

from taximeter.compose.process import Announcement, Process, running
from taximeter.config import file

_MOMENT: Final = struct.Struct("<q")
TOLD, ASKED, WATCHED, POSTED = range(0, 4 * _MOMENT.size, _MOMENT.size)
LEAP_US: Final = 86_400_000_000
GLANCE_SECONDS: Final = 0.002


class Times:
    """The moments and the number. A clock, too: the one of the server."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self, path: Path, *, begin_us: int | None = None) -> None:
        """`begin_us`: make the file."""
        if begin_us is not None:
            path.write_bytes(_MOMENT.pack(begin_us) + _MOMENT.pack(0) * 3)
        with path.open("r+b") as held:
            self._map = mmap.mmap(held.fileno(), 4 * _MOMENT.size)

    def now_us(self) -> int:
        return self.read(TOLD)

    def read(self, place: int) -> int:
        return int(_MOMENT.unpack_from(self._map, place)[0])

    def write(self, place: int, moment_us: int) -> None:
        _MOMENT.pack_into(self._map, place, moment_us)


def _keep_watching(process: Process, times: Times) -> None:
    """A turn of detection whenever one is asked for, instead of those of the server's own job."""
    assert process.collecting is not None
    detecting = process.collecting.detecting
    assert detecting is not None
    while True:
        asked_us, watched_us = times.read(ASKED), times.read(WATCHED)
        if asked_us == watched_us:
            time.sleep(GLANCE_SECONDS)
            continue
        while process.collecting.collector.status.stored_events < times.read(POSTED):
            time.sleep(GLANCE_SECONDS)
        if asked_us - watched_us > LEAP_US:
            detecting.forget()
        detecting.turn()
        times.write(WATCHED, asked_us)


def main(arguments: list[str]) -> int:
    configuration, data, path = map(Path, arguments)
    times = Times(path)

    def announce(told: Announcement) -> None:
        print(told.url, flush=True)
        threading.Thread(target=_keep_watching, args=(process, times), daemon=True).start()

    with running(file.load(configuration).with_flags("server", {"port": 0}), data, "all", times) as process:
        assert process.collecting is not None
        # Its own turns would come between the calls of one moment, and see half of them.
        process.collecting.jobs.once(("detection",), lambda: False)
        process.serve(announce)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
