"""A new entry in the text of a price file, everything else in it left as it is: comments, order, spacing.

The text that comes out has been read as a whole; a wrong entry changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from taximeter.clock import rfc3339
from taximeter.pricing.entries import Entry, overlap, same_subject
from taximeter.pricing.price_file import parse

_LAYER: Final = "override"
_WIDTH: Final = 1 << 20
"""Columns of one entry: it stays on one line."""


@dataclass(frozen=True, slots=True)
class Edited:
    """The new text, the rule of the entry in it, and those of open entries that now end where it begins."""

    text: str
    rule: str
    ended: tuple[str, ...] = ()


def with_entry(text: str, entry: Mapping[str, Any], *, source: str) -> Edited:
    """The text of a price file with one more entry, the first in its list.

    An entry for the same calls that has no end is given one where the new one begins. Raises ConfigurationError when
    the file, or what it would become, has mistakes.
    """
    before = parse(text, _LAYER, source=source).entries
    new = parse(json.dumps({"prices": [entry]}), _LAYER, source="the new price").entries[0]
    to_end = [number for number, old in enumerate(before) if _is_continued(old, new)]
    edited = text
    for number in reversed(to_end):
        edited = _inserted(edited, *_ending(edited, number, new))
    edited = _inserted(edited, *_entering(edited, entry))
    parse(edited, _LAYER, source=source)
    return Edited(edited, new.rule, tuple(before[number].rule for number in to_end))


def _is_continued(old: Entry, new: Entry) -> bool:
    """Whether an entry without an end is taken over by a later one."""
    if old.to_us is not None or new.from_us is None or not same_subject(old, new) or not overlap(old, new):
        return False
    return old.from_us is None or old.from_us < new.from_us


def _inserted(text: str, at: int, what: str) -> str:
    return text[:at] + what + text[at:]


def _ending(text: str, number: int, new: Entry) -> tuple[int, str]:
    """Where and how entry `number` is given its end."""
    assert new.from_us is not None
    node = _prices(_root(text)).value[number]
    at, day = node.start_mark.index, rfc3339(new.from_us).removesuffix("T00:00:00.000000Z")
    if node.flow_style:
        return at + 1, f'"to": "{day}", '
    return at, f'to: "{day}"\n{" " * node.start_mark.column}'


def _entering(text: str, entry: Mapping[str, Any]) -> tuple[int, str]:
    """Where and how a new entry comes into the list, which may have to be made."""
    root = _root(text)
    as_json = text.lstrip().startswith("{")
    line = json.dumps(entry) if as_json else _flow(entry)
    if root is None:
        return len(text), f"{_fresh_line(text)}prices:\n  - {line}\n"
    prices = _prices(root)
    if prices is None and root.flow_style:
        return root.start_mark.index + 1, f'"prices": [{line}]' + (", " if root.value else "")
    if prices is None:
        return len(text), f"{_fresh_line(text)}prices:\n  - {line}\n"
    if not isinstance(prices, yaml.SequenceNode):
        return prices.start_mark.index, f"\n  - {line}"
    if prices.flow_style:
        return prices.start_mark.index + 1, line + (", " if prices.value else "")
    column = prices.start_mark.column
    return prices.start_mark.index - column, f"{' ' * column}- {line}\n"


def _root(text: str) -> Any:
    loader = yaml.SafeLoader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _prices(root: Any) -> Any:
    return next((value for key, value in root.value if key.value == "prices"), None)


def _flow(entry: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(entry), default_flow_style=True, sort_keys=False, width=_WIDTH).strip()


def _fresh_line(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"
