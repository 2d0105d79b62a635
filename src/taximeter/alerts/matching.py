"""Matchers of routes and silences: `{feature: chat, team: [core, search], kind: "!volume_spike"}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from taximeter.alerts.alert import Labels


@dataclass(frozen=True, slots=True)
class Matcher:
    """Holds for labels of which `name` is one of `values`, or with `negated`, is none of them. A label that is not
    there is the empty text."""

    name: str
    values: tuple[str, ...]
    negated: bool = False

    def holds(self, labels: Labels) -> bool:
        return (labels.get(self.name, "") in self.values) is not self.negated


Matchers = tuple[Matcher, ...]


def parse_matchers(written: Mapping[str, str | list[str]]) -> Matchers:
    """Matchers from their written form; all of them have to hold. A value with `!` in front must not be it."""
    return tuple(_matcher(name, [value] if isinstance(value, str) else value) for name, value in written.items())


def _matcher(name: str, values: list[str]) -> Matcher:
    if any(value.startswith("!") for value in values):
        return Matcher(name, tuple(value.removeprefix("!") for value in values), negated=True)
    return Matcher(name, tuple(values))


def match(matchers: Matchers, labels: Labels) -> bool:
    return all(matcher.holds(labels) for matcher in matchers)
