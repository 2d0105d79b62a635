"""The plain answer: what nearly every whole answer is, read in a straight line.

A dialect may have a reader for it beside its general one (`Flavour.read_plain`). It gives None as soon as anything is
there that it does not expect, and then the general reader decides; where it gives something, both give the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from taximeter.core.usage import LARGEST_COUNT, Usage
from taximeter.extract.payload import LONGEST_NAME
from taximeter.extract.reading import Reading


@dataclass(slots=True)
class Plain:
    """A whole answer with nothing unusual in it: a count of each of `classes`, parts inside their wholes."""

    response_model: str
    response_id: str
    service_tier: str | None
    classes: tuple[str, ...]
    counts: tuple[int, ...]

    def reading(self) -> Reading:
        return Reading(
            response_model=self.response_model,
            usage=Usage(units={}, **dict(zip(self.classes, self.counts, strict=True))),
            service_tier=self.service_tier,
            response_id=self.response_id,
            finished=True,
        )


PLAIN_COUNT: Final = {int}
"""The types of plain counts: a JSON `true` is an int to Python, and none here."""

NOT_PLAIN: Final = (KeyError, IndexError, TypeError, AttributeError)
"""What is raised where an answer is taken for a plain one and has other types: cheaper than to ask each value."""


def told(answer: Any, service_tier: Any, classes: tuple[str, ...], counts: tuple[int, ...]) -> Plain | None:
    """The plain answer with these counts; None when its names are not plain, or one of `NOT_PLAIN` raised."""
    model, answer_id = answer["model"], answer["id"]
    # Text as it stands: nothing to cut, nothing that cannot be encoded.
    names = "".join((model, answer_id, service_tier or ""))
    if not model or not answer_id or len(names) > LONGEST_NAME or not names.isascii():
        return None
    return Plain(model, answer_id, service_tier or None, classes, counts)


def is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LARGEST_COUNT
