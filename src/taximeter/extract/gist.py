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
"""Characters of what stands behind a usage that is cut out."""

NO_GIST: Final = (*NOT_PLAIN, ValueError, RecursionError)
"""What is raised where an answer has no gist."""

quoted: Final[Callable[[Any], str]] = json.encoder.encode_basestring_ascii
"""A text as JSON, in ASCII as the rest. Raises TypeError for what is no text."""

_KEY: Final = "usage"
_USAGE: Final = f'"{_KEY}":'
_WIDTH: Final = len(_USAGE)
_NEVER: Final = "\0"
"""What no JSON ends with."""

_UNENDED: Final = f'{{"{_KEY}":{{}}'
_DIGITS: Final = b"0123456789"

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

    One answer of a service mostly ends as the one before: behind its usage stand the same few members, and the usage
    itself differs in its digits. Where it does, the usage lies between its name and that ending, and need not be read
    again to find its end:

    - Without digits it is a usage that was read. There is no backslash in either, so that its texts begin and end at
      the same places, and so do its objects: it is one whole object.
    - The ending was read as members of an object that closes, and the body ends with it: its members are the last ones
      of the answer, none of them is a usage, and what stands before them is one of the answer's own.
    """

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest = (_NEVER, b"", False)
        """Of the latest usage that was cut out: what stood behind it, to the end of the text; what it is without its
        digits; and whether it has several lines."""

    def of(self, usage: object, body: str) -> str:
        """`usage` is what an answer says, and `body` the text that this was read from, or empty.

        Raises TypeError, ValueError or RecursionError when it is no JSON after all.
        """
        ending, bare, several_lines = self._latest
        if body.endswith(ending):
            at = body.rfind(_USAGE)
            written = body[at + _WIDTH : -len(ending)]
            if at > 0 and body[at - 1] != "\\" and written.encode().translate(None, _DIGITS) == bare:
                return _in_one_line(written) if several_lines else written
        return self._cut(usage, body) or "".join(_pieces(usage, 0))

    def _cut(self, usage: object, body: str) -> str | None:
        """Where a body says it last, its usage as it is written there; None when that is another one, or none of the
        answer's own."""
        at = body.rfind(_USAGE)
        start = at + _WIDTH
        try:
            found, end = _scan(body, start + 1 if body[start] == " " else start)
        except (IndexError, StopIteration, ValueError):
            return None
        ending = body[end:]
        if found != usage or body[at - 1] == "\\" or not (ending == self._latest[0] or _ends_an_answer(ending)):
            return None
        written = body[start:end]
        one_line = _in_one_line(written)
        if type(found) is dict and "\\" not in written:
            self._latest = (ending, written.encode().translate(None, _DIGITS), one_line != written)
        return one_line


def _in_one_line(written: str) -> str:
    """JSON without the line breaks between its parts: inside of its texts there are none."""
    return written.replace("\n", "").replace("\r", "")


def _ends_an_answer(ending: str) -> bool:
    """Whether it is the rest of an object behind one of its values, and no member in there is a usage."""
    if len(ending) > LONGEST_ENDING or "\\" in ending or f'"{_KEY}"' in ending:
        return False
    try:
        _, end = _scan(_UNENDED + ending, 0)
    except (StopIteration, ValueError, RecursionError):
        return False
    return bool(end == len(_UNENDED) + len(ending))
