"""The plain answer: what nearly every whole answer is, read in a straight line.

A dialect may have a reader for it beside its general one (`Flavour.read_plain`). It gives None as soon as anything is
there that it does not expect, and then the general reader decides; where it gives something, both give the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias, TypeGuard

from taximeter.core.usage import LARGEST_COUNT, Usage
from taximeter.extract.payload import LONGEST_NAME
from taximeter.extract.reading import Reading

Body: TypeAlias = dict[str, Any]
"""A parsed answer: its values are asked for their type before they are used."""


class Plain(NamedTuple):
    """A whole answer with nothing unusual in it. `counts` are token classes, parts inside their wholes."""

    response_model: str
    response_id: str
    service_tier: str | None
    counts: dict[str, int]

    def reading(self) -> Reading:
        return Reading(
            response_model=self.response_model,
            usage=Usage(units={}, **self.counts),
            service_tier=self.service_tier,
            response_id=self.response_id,
            finished=True,
        )


def told(answer: Body, service_tier: object, counts: dict[str, int] | None) -> Plain | None:
    """The plain answer with these counts; None when its names are not plain."""
    model, answer_id = answer.get("model"), answer.get("id")
    if counts is None or type(model) is not str or type(answer_id) is not str:
        return None
    if service_tier is not None and (type(service_tier) is not str or not service_tier):
        return None
    # Text as it stands: nothing to cut, nothing that cannot be encoded.
    names = f"{model}{answer_id}{service_tier}"
    if not model or not answer_id or len(names) > LONGEST_NAME or not names.isascii():
        return None
    return Plain(model, answer_id, service_tier, counts)


def is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LARGEST_COUNT


def take_parts(details: object, names: Mapping[str, str], whole: int, counts: dict[str, int]) -> bool:
    """Take the parts of `whole` from an object of details; False when they are not plain. Other keys say nothing."""
    if details is None:
        return True
    if type(details) is not dict:
        return False
    for theirs, number in details.items():
        ours = names.get(theirs)
        if ours is not None and number is not None:
            if type(number) is not int or not 0 <= number <= whole:
                return False
            counts[ours] = number
    return True
