"""What detection has learnt, kept in the data directory over a restart: only the minutes since have to be learnt then.

`detection.learnt` is gzip (its checksum proves that a file is whole) over a line of JSON and a pickle. The line names
the rules by which it was learnt: what its figures mean (`MEANING`), how they are held, and what the operator has told.
What was learnt by other rules, or cannot be read, is learnt anew from the history; thresholds and whatever else decides
what is told of it may change without that. The pickle makes objects of detection's own
classes and arrays, and nothing else: whatever else a file names is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import inspect
import json
import logging
import os
import pickle
import pkgutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from taximeter.anomaly.detection import Detection
from taximeter.config.anomalies import AnomalySettings
from taximeter.reports.backtest import detection_for

LEARNT_FILE: Final = "detection.learnt"
"""Of the file in a data directory."""

MEANING: Final = 1
"""To be raised when a figure that is learnt comes to mean something else while it is held as before."""

RULES: Final = "taximeter.anomaly"
TOLD: Final = {"timezone", "holidays", "allowed_models", "dimensions", "thresholds"}
"""The settings that decide what is learnt; the others only decide what is told."""

_QUICK: Final = 1
"""Most of it is zeros: more effort than this makes it slower, not much smaller."""
_READ_BYTES: Final = 1 << 20
_UNREADABLE: Final = (OSError, EOFError, ValueError, KeyError, zlib.error, pickle.UnpicklingError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Learnt:
    """`minute` is the last one that was taken in as a whole; nothing in it is older than `since_us`."""

    detection: Detection
    minute: int
    since_us: int


class LearntFile:
    """Raises nothing: without the file a start takes longer, and that is all."""

    def __init__(self, path: Path, settings: AnomalySettings) -> None:
        self._path, self._settings = path, settings
        self._rules = _rules(settings)

    def keep(self, learnt: Learnt) -> None:
        """1. Write beside it and fsync: a name in place promises a whole file. 2. Put it into its place."""
        beside = self._path.with_suffix(".new")
        try:
            with open(os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                with gzip.open(file, "wb", compresslevel=_QUICK) as stream:
                    _write(stream, learnt, self._rules)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            _log.warning("what detection has learnt cannot be kept in %s: %s", self._path, error)

    def read(self) -> Learnt | None:
        """None when there is none, or none that is of use."""
        try:
            _prove(self._path)
            with gzip.open(self._path) as stream:
                return self._found(stream)
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            _log.warning("%s cannot be read, detection learns from the history: %s", self._path, error)
            return None

    def _found(self, stream: gzip.GzipFile) -> Learnt | None:
        head = json.loads(stream.readline())
        if head["rules"] != self._rules:
            _log.info("%s was learnt by other rules, detection learns from the history", self._path)
            return None
        fresh = detection_for(self._settings)
        detection = _Reader(stream, fresh).load()
        if not isinstance(detection, Detection):
            raise ValueError(f"a {type(detection).__name__} is in it")
        return Learnt(detection, head["minute"], head["since_us"])


def _rules(settings: AnomalySettings) -> str:
    """What two files have in common that were learnt alike."""
    held = [MEANING, settings.model_dump_json(include=TOLD), *held_by_classes(), *held_in(detection_for(settings))]
    return hashlib.sha256(json.dumps(held).encode()).hexdigest()


def held_by_classes() -> Iterator[list[str]]:
    """Every class of detection with the names of its fields, or of its members in their order: what an index means."""
    package = importlib.import_module(RULES)
    for module in sorted(one.name for one in pkgutil.iter_modules(package.__path__)):
        for name, one in sorted(vars(importlib.import_module(f"{RULES}.{module}")).items()):
            if isinstance(one, type) and one.__module__ == f"{RULES}.{module}":
                members = (
                    [str(member) for member in one] if issubclass(one, Enum) else list(inspect.get_annotations(one))
                )
                yield [name, *members]


def held_in(one: object, name: str = "") -> Iterator[list[str]]:
    """The parts of a detection that knows nothing yet: their names, and how arrays are laid out."""
    if isinstance(one, np.ndarray):
        yield [name, str(one.dtype), *map(str, one.shape)]
    elif hasattr(one, "__dict__") and _is_of_rules(type(one).__module__):
        for part, held in sorted(vars(one).items()):
            yield [f"{name}.{part}", type(held).__name__]
            yield from held_in(held, f"{name}.{part}")


def _write(stream: gzip.GzipFile, learnt: Learnt, rules: str) -> None:
    head = {"rules": rules, "minute": learnt.minute, "since_us": learnt.since_us}
    stream.write(json.dumps(head).encode() + b"\n")
    _Writer(stream, learnt.detection).dump(learnt.detection)


def _prove(path: Path) -> None:
    """Read it once: gzip compares its checksum at the end. Raises OSError, EOFError or zlib.error."""
    with gzip.open(path) as stream:
        while stream.read(_READ_BYTES):
            pass


class _Writer(pickle.Pickler):
    """What comes from the settings is named, not written."""

    def __init__(self, stream: gzip.GzipFile, detection: Detection) -> None:
        super().__init__(stream, protocol=5)
        self._names = {id(detection.calendar): "calendar", id(detection.thresholds): "thresholds"}

    def persistent_id(self, obj: Any) -> str | None:
        return self._names.get(id(obj))


class _Reader(pickle.Unpickler):
    def __init__(self, stream: gzip.GzipFile, fresh: Detection) -> None:
        super().__init__(stream)
        self._named = {"calendar": fresh.calendar, "thresholds": fresh.thresholds}

    def persistent_load(self, pid: Any) -> Any:
        return self._named[pid]

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = f"{module_name}.{global_name}"
        found = super().find_class(module_name, global_name) if name in _ARRAYS or _is_of_rules(module_name) else None
        if name in _ARRAYS or (isinstance(found, type) and found.__module__ == module_name):
            return found
        raise pickle.UnpicklingError(f"{name} is nothing that is learnt")


def _is_of_rules(module_name: str) -> bool:
    return module_name.startswith(f"{RULES}.")


_ARRAYS: Final = frozenset(
    {
        "numpy.ndarray",
        "numpy.dtype",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.numeric._frombuffer",
    }
)
