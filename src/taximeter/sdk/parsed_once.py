"""The JSON of an answer is parsed once in the process: by us to count it, and what we parsed goes to the library.

Parsing is a good part of what a call costs, and the client library would do it again a moment later.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Final

_JSON_LIBRARIES: Final = ("httpx", "httpx2")
"""HTTP libraries whose `Response.json(**kwargs)` is `json.loads(self.content, **kwargs)`."""


def payload_and_text(response: Any) -> tuple[object, str]:
    """The parsed body of a response that has been read, and its text, as `read` gives them.

    The response gives the same object to the first who asks it for its JSON. Whoever asks later gets one of his own,
    as ever.
    """
    content = response.read()  # a method is found sooner than the property `content`
    payload, text = read(content)
    cls: Any = type(response)
    if payload is not None and _parses_plainly(cls):
        response.json = _HandedOn(_handed_on, content, [payload])
    return payload, text


def parsed(body: object) -> object:
    """The JSON in a body, or in its text; None when it is none."""
    if not isinstance(body, str):
        return read(body)[0]
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read(body: object) -> tuple[object, str]:
    """The JSON in a body, and the body's text; None, and no text, when it is none. As `json.loads`, with fewer steps
    for a body that is one value; there is no text of any other one."""
    if not isinstance(body, bytes) or not body:
        return None, ""
    try:
        text = body.decode()
        payload, end = _first_value(text, 0)
        if end == len(text):
            return payload, text
    except (ValueError, RecursionError, StopIteration):
        pass  # another encoding, white space before it, or no JSON
    try:
        return json.loads(body), ""
    except (ValueError, RecursionError):
        return None, ""


_first_value: Final[Callable[[str, int], tuple[object, int]]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""`StopIteration` where there is none: what `raw_decode` makes of that takes another call."""


def _handed_on(content: bytes, payloads: list[object], **kwargs: Any) -> Any:
    """What stands for the method `json` of one response: of its body, and of what was parsed of it until somebody takes
    it. It holds the body, not the response, which may go when it likes."""
    if not kwargs:
        try:
            return payloads.pop()  # atomic: only one gets it
        except IndexError:
            pass
    return json.loads(content, **kwargs)


class _HandedOn(partial[Any]):
    """`_handed_on` of one response. Not a class with a `__call__`, which is looked for at each call."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickled response needs no taximeter to be read."""
        return partial, (json.loads, self.args[0])


@lru_cache(maxsize=64)
def _parses_plainly(cls: Any) -> bool:
    """Whether it is the response class of a library we know, not somebody's own one."""
    return cls.__name__ == "Response" and cls.__module__.partition(".")[0] in _JSON_LIBRARIES
