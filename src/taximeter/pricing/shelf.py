"""The prices of a data directory, as files: what was refreshed, imported and set there.

    DATA/prices/
    ├── overrides.yaml              what `prices set` wrote, where the configuration names no file of its own
    ├── imported/<name>.json        lists taken over from elsewhere, as price files
    └── editions/<number>.json.gz   states of genai-prices' data; the first one is what the directory began with

Layers, from the lowest: editions, imported lists, the corrections of this release, overrides.yaml, and the file that
the configuration names. Files are replaced as a whole, so that a reader finds the old or the new one.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from taximeter.clock import rfc3339
from taximeter.errors import ConfigurationError, Mistake
from taximeter.pricing import snapshot_file
from taximeter.pricing.book import PriceBook
from taximeter.pricing.entries import PriceFile
from taximeter.pricing.price_file import read_file
from taximeter.pricing.priceable import parse_instant
from taximeter.pricing.resolve import CORRECTIONS_LAYER
from taximeter.pricing.snapshot import VERSION, Edition, Snapshots, bundled

CORRECTIONS: Final = Path(__file__).with_name("corrections.yaml")
"""What the library does not know or gets wrong, written by hand."""

LISTED: Final = Path(__file__).with_name("listed.json")
"""What it does not know of hosts and regions, taken over from public lists, a price a line."""

PRICES_DIRECTORY: Final = "prices"
"""Below the data directory."""

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600

OVERRIDES: Final = "overrides.yaml"
IMPORTED: Final = "imported"
EDITIONS: Final = "editions"


def corrections() -> PriceFile:
    """The layer that comes with this release, out of two files."""
    by_hand, listed = (read_file(path, CORRECTIONS_LAYER, ours=True) for path in (CORRECTIONS, LISTED))
    return replace(by_hand, text=by_hand.text + listed.text, entries=by_hand.entries + listed.entries)


class PriceShelf:
    """Reads and writes the files. `overrides` is the file that the configuration names."""

    def __init__(
        self, directory: Path | None, overrides: Path | None = None, prefer_reported: Sequence[str] = ()
    ) -> None:
        """Without a directory there is only what this release brings along, and `overrides`."""
        self.directory = directory
        self.overrides = overrides
        self.prefer_reported = tuple(prefer_reported)

    def book(self) -> PriceBook:
        """The price book of all these files. Raises ConfigurationError with every mistake in one of them."""
        return PriceBook(self.files(), self.snapshots(), self.prefer_reported)

    def files(self) -> list[PriceFile]:
        """The layers over the snapshot, from the lowest to the highest. Raises ConfigurationError."""
        files = [read_file(path, path.stem) for path in self._imported()]
        files.append(corrections())
        files += [read_file(path, "override") for path in self._own()]
        return files

    def without(self, name: str) -> PriceBook:
        """The price book as it would be without an imported list."""
        return PriceBook([file for file in self.files() if file.layer != name], self.snapshots())

    def snapshots(self) -> Snapshots:
        """The editions kept here, or the installed library's alone. Raises ConfigurationError for a damaged one."""
        return Snapshots([_read_edition(path) for path in self._editions()] or [bundled()])

    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Changes whenever a file does: names, times, sizes."""
        paths = (*self._editions(), *self._imported(), *self._own())
        return tuple((str(path), (at := path.stat()).st_mtime_ns, at.st_size) for path in paths)

    def file_to_edit(self) -> Path:
        """The user's own price file. Raises ConfigurationError when there is no place for one."""
        if self.overrides is not None:
            return self.overrides
        return self._directory() / OVERRIDES

    # ── keeping ────────────────────────────────────────────────────────────────────────────────────────────────

    def keep_bundled(self, now_us: int) -> None:
        """Keep what the installed library says, so that a later release of it does not change the past.

        A first time it is what the directory begins with; a library newer than all that is kept is taken over now.
        """
        kept = self._editions()
        if not kept:
            self._write_edition(VERSION, snapshot_file.dump(bundled().providers), None)
            return
        editions = self.snapshots().editions
        if VERSION not in (edition.version for edition in editions):
            newest_day_us = max(day for edition in editions for day in (0, *edition.start_days_us))
            if max((0, *bundled().start_days_us)) > newest_day_us:
                self._write_edition(VERSION, snapshot_file.dump(bundled().providers), now_us)

    def adopt(self, version: str, edition: Edition, now_us: int) -> Path:
        """Keep newer data, in use for calls from now on (`snapshot` says how). Returns its file."""
        self.keep_bundled(now_us)
        return self._write_edition(version, snapshot_file.dump(edition.providers), now_us)

    def take_in(self, name: str, text: str) -> Path:
        """Keep an imported list under a name, in the place of an older one of that name."""
        path = self._directory() / IMPORTED / f"{name}.json"
        replace_file(path, text.encode())
        return path

    def _write_edition(self, version: str, providers: Sequence[dict[str, Any]], adopted_us: int | None) -> Path:
        adopted_at = None if adopted_us is None else rfc3339(adopted_us)
        content = {"version": version, "adopted_at": adopted_at, "providers": providers}
        path = self._directory() / EDITIONS / f"{len(self._editions()):04d}.json.gz"
        replace_file(path, gzip.compress(json.dumps(content).encode(), mtime=0))
        return path

    # ── where things are ───────────────────────────────────────────────────────────────────────────────────────

    def _directory(self) -> Path:
        if self.directory is None:
            raise ConfigurationError("prices", [Mistake("data directory", "is needed to keep prices in")])
        return self.directory

    def _imported(self) -> list[Path]:
        return sorted(self.directory.glob(f"{IMPORTED}/*.json")) if self.directory else []

    def _editions(self) -> list[Path]:
        return sorted(self.directory.glob(f"{EDITIONS}/*.json.gz")) if self.directory else []

    def _own(self) -> list[Path]:
        kept = self.directory / OVERRIDES if self.directory else None
        return [path for path in (kept if kept and kept.is_file() else None, self.overrides) if path is not None]


def _read_edition(path: Path) -> Edition:
    try:
        content = json.loads(gzip.decompress(path.read_bytes()))
        version, adopted_at = content["version"], content["adopted_at"]
        adopted_us = parse_instant(adopted_at) if adopted_at else None
        raw = content["providers"]
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ConfigurationError(str(path), [Mistake("file", f"cannot be read: {error}")]) from None
    if version == VERSION:
        return Edition(version, bundled().providers, adopted_us)
    return Edition(version, snapshot_file.from_raw(raw, str(path)).providers, adopted_us)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as a whole: whoever reads it finds the old content or the new one.

    A file that is there keeps its permissions; a new one is its owner's alone, as everything in a data directory.
    """
    for directory in [*reversed(path.parent.parents), path.parent]:
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else FILE_MODE
    beside = path.with_name(f".{path.name}.new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.chmod(mode)
    beside.replace(path)
