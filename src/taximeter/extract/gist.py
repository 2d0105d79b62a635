"""The gist of a plain answer: what its reading depends on - names and counts, never content - as one line of JSON.

It is taken while the application waits, so it is made of few steps: texts are quoted one by one, and the usage is cut
out of the answer's own text instead of being written anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from taximeter.extract.plain import NOT_PLAIN

LONGEST_GIST: Final = 4_096
"""Characters of a gist. An answer that says more is read at once."""

LONGEST_ENDING: Final = 512
"""Characters of what stands behind a usage, where that is remembered."""

NO_GIST: Final = (*NOT_PLAIN, ValueError, RecursionError)
"""What is raised where an answer has no gist."""

quoted: Final[Callable[[Any], str]] = json.encoder.encode_basestring_ascii
"""A text as JSON. Raises TypeError for what is no text."""

_KEY: Final = "usage"
_USAGE: Final = f'"{_KEY}":'
_WIDTH: Final = len(_USAGE)
_NEVER: Final = "\0"
"""What no JSON ends with."""

_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined]


def _not_json(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not of JSON")


def _plain_encoder() -> Any:
    """Makes pieces of JSON, in ASCII, of anything that came as JSON. Of the standard library's encoder only the part
    that is written in C, where there is one: what it does before that, for each value anew, takes as long again."""
    made: Any = json.encoder
    if made.c_make_encoder is None:
        encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)
        return lambda value, _level: (encoder.encode(value),)
    return made.c_make_encoder(None, _not_json, made.encode_basestring_ascii, None, ":", ",", False, False, True)


_pieces: Final = _plain_encoder()


class UsageText:
    """The usage of one answer after another, as JSON in one line.

    One answer of a service mostly ends as the one before: behind its usage stand the same few members. Where it does,
    the usage lies between its name and that ending, and need not be read again to find its end.
    """

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest = (_NEVER, 0)
        """What stood behind the latest usage that was cut out, to the end of the text, and how many members that is."""

    def of(self, answer: dict[str, Any], usage: object, body: str) -> str:
        """`usage` is what `answer` says, and `body` the text that this was read from, or empty.

        Raises TypeError, ValueError or RecursionError when it is no JSON after all.
        """
        ending, behind = self._latest
        if body.endswith(ending) and len(answer) > behind and [*answer][~behind] == _KEY:
            at = body.rfind(_USAGE)
            if at > 0 and at == body.find(_USAGE):
                written = body[at + _WIDTH : -len(ending)]
                return written.replace("\n", "").replace("\r", "") if "\n" in written else written
        return self._cut(answer, usage, body) or "".join(_pieces(usage, 0))

    def _cut(self, answer: dict[str, Any], usage: object, body: str) -> str | None:
        """Where a body says it last, its usage as it is written there; None when that is another one."""
        at = body.rfind(_USAGE) + _WIDTH
        try:
            if body[at] == " ":
                at += 1
            found, end = _scan(body, at)
        except (IndexError, StopIteration, ValueError):
            return None
        if found != usage:
            return None
        if len(body) - end <= LONGEST_ENDING:
            self._latest = (body[end:], [*reversed(answer)].index(_KEY))
        written = body[at:end]
        return written.replace("\n", "").replace("\r", "") if "\n" in written else written
