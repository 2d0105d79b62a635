"""Answers that are spooled as they came, and read by whoever takes them from the spool.

What metering costs a call is mostly our code being met with cold caches. So the SDK reads no plain answer while the
application waits. It spools what the reading depends on - names and counts, never content - and hours or milliseconds
later a reader of the spool makes the events of many such lines at once, warm:

    {"unread":["openai.chat",STARTED_US,DURATION_US,"RANDOM",{"id":...,"model":...,"usage":{...}}],"source":"sdk",...}

That is the name of the flavour, the start in microseconds since the epoch, how long it took in microseconds, the
random part of the event's id, and the gist of the answer (`Flavour.gist`); behind it stand members of the event, as
they are in any line. One line gives one event, the same one however often and by whomever it is read.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from taximeter.clock import rfc3339
from taximeter.core.ids import timed_id

if TYPE_CHECKING:
    from taximeter.extract.flavour import Flavour

PREFIX: Final = b'{"unread":['
"""How such a line begins, and no other one."""

FLAVOURS: Final = {
    "openai.chat": ("openai", "CHAT"),
    "openai.completions": ("openai", "COMPLETIONS"),
    "openai.responses": ("openai", "RESPONSES"),
    "anthropic.messages": ("anthropic", "MESSAGES"),
}
"""Every flavour that has a gist, by its name: its module in this room, and what it is called there. Lines of earlier
versions are read by it, so that a name stays."""

_AT: Final = len(PREFIX) - 1
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


_UNREADABLE: Final = (
    *(ValueError, TypeError, LookupError, AttributeError, OSError, OverflowError),
    *(StopIteration, RecursionError),
)
"""What is raised on a line that is none of ours; an OSError where it has a time that no calendar has."""


def finished(line: bytes) -> bytes:
    """The event that a line with `PREFIX` stands for. One that nobody can read, which a later version may have written,
    is given back as it is: it is no event, and is set aside as what it is."""
    try:
        text = line.decode()
        (name, started_us, duration_us, random_part, gist), end = _scan(text, _AT)
        said = _members(name, gist)
        ms, us = divmod(duration_us, 1000)
        return (
            f'{{"event_id":"{timed_id(started_us // 1000, random_part)}","started_at":"{rfc3339(started_us)}"'
            f'{text[end:-1]},"status":"ok","attempt":1,"duration_ms":{ms}.{us:03d},"http_status":200{said}}}'
        ).encode()
    except _UNREADABLE:
        return line


def _members(name: str, gist: Any) -> str:
    """What the answer adds to its event."""
    # Imported here: who makes lines need not read them.
    from taximeter.extract.answered import of_plain, of_reading

    flavour = _flavour(name)
    plain = None if flavour.read_plain is None else flavour.read_plain(gist)
    if plain is not None:
        return of_plain(plain)
    reading = flavour.read_answer(200, gist)
    return of_reading(reading, reading.usage, error_type=None, rarities={})


def output_tokens(flavour: Flavour | None, gist: str) -> int | None:
    """How many tokens an answer of this flavour wrote, by its packed gist."""
    return None if flavour is None else flavour.read_answer(200, json.loads(gist)).usage.output_tokens


def event_id(line: bytes) -> str:
    """The id of the event that a line with `PREFIX` stands for; empty when nobody can read it."""
    try:
        (_, started_us, _, random_part, _), _ = _scan(line.decode(), _AT)
        return timed_id(started_us // 1000, random_part)
    except _UNREADABLE:
        return ""


@cache
def _flavour(name: str) -> Flavour:
    """Raises KeyError for a name that this version does not know."""
    module, attribute = FLAVOURS[name]
    return cast("Flavour", getattr(import_module(f"taximeter.extract.{module}"), attribute))
