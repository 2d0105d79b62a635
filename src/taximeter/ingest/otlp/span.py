"""What arrives, whatever the form: spans and log records, reduced to what may stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

Found: TypeAlias = dict[str, Any]
"""Values under our field names, as `attributes.read` finds them. Nothing else of a span's attributes is kept."""

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8
MOST_NAME_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """Where spans come from: the instrumentation (scope), and what the resource says for all of them."""

    scope_name: str = ""
    scope_version: str = ""
    shared: Mapping[str, Any] = field(default_factory=dict)


class Span(msgspec.Struct, gc=False):
    """One span. Ids are bytes, empty when there is none. Times are nanoseconds since the epoch.

    What is made for every span is a struct out of the collector's sight: it is cheap to make, and refers to nothing
    that refers back.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_ns: int
    end_ns: int
    failed: bool
    origin: Origin
    found: Found
    trace_state: str = ""
    key: bytes = b""
    """Its identity."""

    def __post_init__(self) -> None:
        self.key = self.trace_id + self.span_id

    @property
    def parent_key(self) -> bytes:
        """The key of its parent, empty for a root."""
        return self.trace_id + self.parent_id if self.parent_id else b""


@dataclass(slots=True)
class LogRecord:
    """One log record that has a name we know. `at_ns` is its own time, 0 when it has none."""

    name: str
    at_ns: int
    trace_id: bytes
    span_id: bytes
    origin: Origin
    found: Found


@dataclass(slots=True)
class Arrived:
    """What one request held. `malformed` counts spans or records that could not be read, `problem` is the first
    reason; `ignored` counts what has nothing to do with model calls."""

    spans: list[Span] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    malformed: int = 0
    problem: str = ""
    ignored: int = 0

    def reject(self, problem: str) -> None:
        self.malformed += 1
        self.problem = self.problem or problem
