"""A process whose files may not grow any more, until they may again: `disk_filler.py FILE`."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from crashing_writer import LINES, batch

from taximeter.errors import StoreError
from taximeter.store.events import DuckDBEvents, Query

SMALL_BYTES = 400_000


def main(file: Path) -> None:
    store = DuckDBEvents(file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_BYTES, hard))
    number = 0
    try:
        while True:
            store.append(batch(number), {"spool": number})
            number += 1
    except StoreError as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    appended = store.append(batch(number), {"spool": number})
    print("room again:", "stored" if appended.inserted == LINES else appended)
    store.close()
    again = DuckDBEvents(file)
    (row,) = again.query(Query(from_us=0, to_us=2**53, measures=("calls",))).rows
    print("once:", row["calls"] == (number + 1) * LINES and again.marks() == {"spool": number})
    again.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
