"""Price files: our dated corrections and the user's own prices, in one format.

    prices:
      - provider: openai                # a name, or a list of names; "*" is every provider
        match: gpt-4o                   # the model and its dated snapshots (gpt-4o-2024-08-06); "*" at the end
                                        # matches any ending; a list is fine
        from: 2024-05-13                # a day (UTC) or an instant; left out: always
        to: 2024-10-02                  # not included
        daily: 01:00-04:00, 06:00-10:00 # only in these hours (UTC)
        days: [mon, tue, wed, thu, fri] # and only on these days (UTC)
        tier: batch                     # only calls served in this tier; left out: the standard tier
        region: us                      # only calls served there; "*" at the end and lists as for models
        source: https://...             # where the price is published
        checked: 2026-11-20             # when somebody last looked
        rates: {input: "5", output: "15"}     # USD per million tokens
        units: {web_searches: "0.01"}         # USD per unit, or {usd: "0.36", per: 3600, at_least: 10, at_most: 60}
        above: {200000: {input: "6"}}         # rates of requests with more input tokens than this

An entry does exactly one thing:

* `rates` and `units` set the price of a model: what `rates` do not name is charged as the whole it is part of (cache
  reads as input, reasoning as output); fees per unit that `units` do not name stay;
* `adjust` (same form as `rates`) changes some rates and leaves the others, `units` alone does so for fees;
* `as: other-model` prices a model as another one; it holds for the very name only, not for its snapshots;
* `multiply: "0.9"` is a discount or a surcharge on the tokens. With `tier` it makes the price of that tier out of the
  standard one; `otherwise: true` then keeps it for models without a listed price of that tier.

Amounts are decimal strings. A number is understood too, unless it carries the noise of binary rounding
(0.30000000000000004). A price of exactly 0 needs `free: true`. Everything that is wrong in a file is reported at
once, with its line, in a ConfigurationError, and nothing of the file is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, Literal

from taximeter.clock import to_unix_us
from taximeter.config.lines import Document, dotted
from taximeter.config.lines import Path as Place
from taximeter.config.lines import read as read_yaml
from taximeter.errors import ConfigurationError, Mistake
from taximeter.pricing.hours import WEEKDAYS, around_us, minute_of_day, weekday, within
from taximeter.pricing.rates import TOKEN_RATES, UNIT_SYNONYMS, UNITS, Rates, Step, UnitRate

Action = Literal["set", "adjust", "as", "multiply"]

MOST_USD_PER_MILLION: Final = Decimal(100_000)
MOST_USD_PER_UNIT: Final = Decimal(10_000)
"""Dearer prices are taken for a slip of the unit."""

MOST_DIGITS: Final = 12
"""Digits of a number written without quotes; more of them are the noise of binary rounding."""

_SNAPSHOT_DATE: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})")

KEYS: Final = (
    "provider",
    "match",
    "from",
    "to",
    "daily",
    "days",
    "tier",
    "region",
    "rates",
    "adjust",
    "above",
    "units",
    "as",
    "multiply",
    "otherwise",
    "free",
    "source",
    "checked",
    "note",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a price file. Instants are microseconds since the epoch; `daily` is minutes of the UTC day."""

    action: Action
    providers: frozenset[str]
    match: tuple[str, ...]
    rule: str
    from_us: int | None = None
    to_us: int | None = None
    daily: tuple[tuple[int, int], ...] = ()
    days: frozenset[str] = frozenset()
    tier: str | None = None
    regions: tuple[str, ...] = ()
    rates: Rates = field(default_factory=Rates)
    priced_as: str = ""
    factor: Decimal = Decimal(1)
    otherwise: bool = False

    def names(self, providers: frozenset[str], model: str) -> bool:
        """Whether it speaks of this model at one of these provider names (all lower case)."""
        if "*" not in self.providers and self.providers.isdisjoint(providers):
            return False
        if self.action == "as":
            return model in self.match
        return any(_matches(pattern, model) for pattern in self.match)

    def in_force(self, at_us: int) -> bool:
        if (self.from_us is not None and at_us < self.from_us) or (self.to_us is not None and at_us >= self.to_us):
            return False
        minute = minute_of_day(at_us)
        if self.days and weekday(at_us) not in self.days:
            return False
        return not self.daily or any(within(minute, start, end) for start, end in self.daily)

    def covers(self, region: str | None) -> bool:
        """Whether it speaks of a region; one that names none speaks of all."""
        return not self.regions or (region is not None and any(_matches(r, region) for r in self.regions))

    def changes_us(self, at_us: int) -> Iterable[int]:
        """Instants around `at_us` at which it comes into force or ceases."""
        yield from (instant for instant in (self.from_us, self.to_us) if instant is not None)
        yield from around_us(at_us, (minute for window in self.daily for minute in window))
        if self.days:
            yield from around_us(at_us, (0,))

    def weight(self, model: str) -> tuple[bool, int, bool, bool]:
        """The more it says about a call, the more it counts: the exact name, the longest pattern, region, hours."""
        longest = max(len(pattern) for pattern in self.match if _matches(pattern, model))
        return model in self.match, longest, bool(self.regions), bool(self.daily)


def _matches(pattern: str, name: str) -> bool:
    if pattern.endswith("*"):
        return name.startswith(pattern[:-1])
    return name == pattern or (name.startswith(pattern) and _SNAPSHOT_DATE.fullmatch(name[len(pattern) :]) is not None)


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a price file says."""

    layer: str
    text: str
    entries: tuple[Entry, ...] = ()
    synonyms: Mapping[str, str] = field(default_factory=dict)
    """Other names of providers, and which is ours."""
    listed_as: Mapping[str, str] = field(default_factory=dict)
    """Where the snapshot has a provider under another name than ours."""
    pass_on: frozenset[str] = frozenset()
    """Providers that sell other makers' models at those makers' prices."""


def read_file(path: Path, layer: str) -> PriceFile:
    """The entries of a file. Raises ConfigurationError with every mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), [Mistake("file", f"cannot be read: {error}")]) from None
    return parse(text, layer, source=str(path))


def parse(text: str, layer: str, *, source: str = "prices") -> PriceFile:
    """The entries in a text (YAML or JSON). Raises ConfigurationError with every mistake in it."""
    document = read_yaml(text, {})
    reader = _Reader(document, layer)
    entries = reader.entries()
    if reader.mistakes:
        raise ConfigurationError(source, sorted(reader.mistakes, key=lambda mistake: mistake.line or 0))
    return PriceFile(layer, text, tuple(entries), *reader.provider_names())


class _Reader:
    """Turns the values of a document into entries and collects what is wrong with them."""

    def __init__(self, document: Document, layer: str) -> None:
        self._document = document
        self._layer = layer
        self.mistakes: list[Mistake] = list(document.mistakes)

    def entries(self) -> list[Entry]:
        values = self._document.values
        if values is None and not self.mistakes:
            return []
        if not isinstance(values, dict):
            if not self.mistakes:
                self._wrong((), "should be a mapping with the key 'prices'")
            return []
        for key in values:
            if key not in ("prices", "providers", "schema"):
                self._wrong((key,), "there is no such key; there are: prices")
        given = values.get("prices") or []
        if not isinstance(given, list):
            self._wrong(("prices",), "should be a list of entries")
            return []
        read = [(place, self._entry(one, place)) for place, one in ((("prices", i), e) for i, e in enumerate(given))]
        known = [(place, entry) for place, entry in read if entry is not None]
        self._report_overlaps(known)
        return [entry for _, entry in known]

    def provider_names(self) -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
        """Synonyms of providers, the snapshot's names of them, and those that pass prices on."""
        given = self._document.values.get("providers") if isinstance(self._document.values, dict) else None
        synonyms: dict[str, str] = {}
        listed_as: dict[str, str] = {}
        for name, said in (given or {}).items():
            synonyms.update(dict.fromkeys(_as_texts(said.get("names")), name))
            if said.get("listed_as"):
                listed_as[name] = str(said["listed_as"])
        return synonyms, listed_as, frozenset(name for name, said in (given or {}).items() if said.get("pass_on"))

    def _wrong(self, place: Place, message: str) -> None:
        self.mistakes.append(Mistake(dotted(place), message, self._document.line_of(place)))

    def _entry(self, given: Any, place: Place) -> Entry | None:
        before = len(self.mistakes)
        if not isinstance(given, dict):
            self._wrong(place, "should be a mapping")
            return None
        for key in given:
            if key not in KEYS:
                self._wrong((*place, key), f"there is no such key; there are: {', '.join(KEYS)}")
        action = self._action(given, place)
        providers = self._names(given, "provider", place)
        match = self._names(given, "match", place)
        from_us, to_us = (self._instant(given.get(key), (*place, key)) for key in ("from", "to"))
        if from_us is not None and to_us is not None and from_us >= to_us:
            self._wrong((*place, "to"), "should be later than 'from'")
        rates = self._rates(given, place)
        factor = self._factor(given, place)
        daily = self._windows(given.get("daily"), (*place, "daily"))
        days = self._days(given, place)
        if len(self.mistakes) > before or action is None:
            return None
        return Entry(
            action,
            frozenset(providers),
            tuple(match),
            self._rule(given, providers, match),
            from_us,
            to_us,
            daily,
            frozenset(days),
            str(given["tier"]).lower() if given.get("tier") else None,
            tuple(_as_texts(given.get("region"))),
            rates,
            str(given.get("as") or "").lower(),
            factor,
            bool(given.get("otherwise")),
        )

    def _rule(self, given: Mapping[str, Any], providers: list[str], match: list[str]) -> str:
        since = f"@{given['from']}" if given.get("from") else ""
        return f"{self._layer}:{providers[0]}/{match[0]}{since}"

    def _action(self, given: Mapping[str, Any], place: Place) -> Action | None:
        named = [key for key in ("rates", "adjust", "as", "multiply") if key in given]
        if len(named) > 1:
            self._wrong(place, f"does two things at once: {' and '.join(named)}")
            return None
        if not named and "units" not in given:
            self._wrong(place, "says no price: give one of rates, units, adjust, as, multiply")
            return None
        actions: dict[str, Action] = {"rates": "set", "adjust": "adjust", "as": "as", "multiply": "multiply"}
        return actions[named[0]] if named else "adjust"

    def _names(self, given: Mapping[str, Any], key: str, place: Place) -> list[str]:
        names = _as_texts(given.get(key))
        if not names:
            self._wrong((*place, key) if key in given else place, f"'{key}' is needed")
        return names

    def _instant(self, given: Any, place: Place) -> int | None:
        if given is None:
            return None
        moment = _moment(given)
        if moment is None:
            self._wrong(place, f"should be a day or an instant such as 2026-08-17, not {given!r}")
            return None
        return to_unix_us(moment)

    def _windows(self, given: Any, place: Place) -> tuple[tuple[int, int], ...]:
        if given is None:
            return ()
        found = re.findall(r"(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)", str(given))
        minutes = tuple((int(a) * 60 + int(b), int(c) * 60 + int(d)) for a, b, c, d in found)
        if not minutes or any(not (start < 1440 and end <= 1440 and start != end) for start, end in minutes):
            self._wrong(place, f"should be hours of the UTC day such as 01:00-04:00, not {given!r}")
        return tuple((start, end % 1440) for start, end in minutes)

    def _days(self, given: Mapping[str, Any], place: Place) -> list[str]:
        days = _as_texts(given.get("days"))
        if not set(days) <= set(WEEKDAYS):
            self._wrong((*place, "days"), f"should be a list of days out of {', '.join(WEEKDAYS)}")
        return days

    def _rates(self, given: Mapping[str, Any], place: Place) -> Rates:
        key = "rates" if "rates" in given else "adjust"
        free = given.get("free") is True
        tokens = self._amounts(given.get(key), (*place, key), TOKEN_RATES, MOST_USD_PER_MILLION, free)
        steps = self._steps(given.get("above"), (*place, "above"), free)
        return Rates(tokens, steps, self._units(given.get("units"), (*place, "units"), free))

    def _units(self, given: Any, place: Place, free: bool) -> dict[str, UnitRate]:
        units = {}
        for name, said in self._mapping(given, place).items():
            usd = said.get("usd") if isinstance(said, dict) else said
            amounts = self._amounts({name: usd}, place, UNITS, MOST_USD_PER_UNIT, free)
            for known, amount in amounts.items():
                units[known] = (
                    self._unit_rate(amount, said, (*place, name)) if isinstance(said, dict) else UnitRate(amount)
                )
        return units

    def _unit_rate(self, usd: Decimal, said: Mapping[str, Any], place: Place) -> UnitRate:
        for key in said:
            if key not in ("usd", "per", "at_least", "at_most"):
                self._wrong((*place, key), "there is no such key; there are: usd, per, at_least, at_most")
        per = said.get("per", 1)
        if not isinstance(per, int) or per < 1:
            self._wrong((*place, "per"), f"should be a whole number of units, not {per!r}")
            per = 1
        least, most = (_decimal(said[key]) if key in said else None for key in ("at_least", "at_most"))
        return UnitRate(usd, per, least or Decimal(0), most)

    def _steps(self, given: Any, place: Place, free: bool) -> tuple[Step, ...]:
        steps = []
        for over, rates in self._mapping(given, place).items():
            if not str(over).isdigit():
                self._wrong((*place, over), "should be a number of input tokens")
                continue
            named = self._amounts(rates, (*place, over), TOKEN_RATES, MOST_USD_PER_MILLION, free)
            steps.append(Step(int(over), named))
        return tuple(sorted(steps, key=lambda step: step.over))

    def _mapping(self, given: Any, place: Place) -> Mapping[str, Any]:
        if given is None:
            return {}
        if not isinstance(given, dict):
            self._wrong(place, "should be a mapping")
            return {}
        return given

    def _amounts(
        self, given: Any, place: Place, allowed: tuple[str, ...], most: Decimal, free: bool
    ) -> dict[str, Decimal]:
        amounts = {}
        for name, value in self._mapping(given, place).items():
            known = UNIT_SYNONYMS.get(name, name)
            if known not in allowed:
                self._wrong((*place, name), f"unknown unit; there are: {', '.join(allowed)}")
                continue
            amount = self._amount(value, (*place, name), most)
            if amount is not None and amount == 0 and not free:
                self._wrong((*place, name), "a price of 0 needs 'free: true' in its entry")
            if amount is not None:
                amounts[known] = amount
        return amounts

    def _amount(self, given: Any, place: Place, most: Decimal) -> Decimal | None:
        amount = _decimal(given)
        if amount is None:
            self._wrong(place, f"should be a decimal number in quotes, not {given!r}")
        elif isinstance(given, float) and len(amount.as_tuple().digits) > MOST_DIGITS:
            self._wrong(place, f"{given!r} carries rounding noise; write it in quotes")
        elif amount < 0:
            self._wrong(place, f"is negative: {amount}")
        elif amount > most:
            self._wrong(place, f"is absurdly large: {amount} USD; the most is {most}")
        else:
            return amount
        return None

    def _factor(self, given: Mapping[str, Any], place: Place) -> Decimal:
        if "multiply" not in given:
            return Decimal(1)
        factor = self._amount(given["multiply"], (*place, "multiply"), Decimal(100))
        if factor == 0 and given.get("free") is not True:
            self._wrong((*place, "multiply"), "a factor of 0 needs 'free: true' in its entry")
        return Decimal(1) if factor is None else factor

    def _report_overlaps(self, entries: Sequence[tuple[Place, Entry]]) -> None:
        for later, (place, entry) in enumerate(entries):
            for other_place, other in entries[:later]:
                if _same_subject(entry, other) and _overlap(entry, other):
                    line = self._document.line_of(other_place)
                    self._wrong(place, f"overlaps in time with the entry of line {line} for the same model")
                    break


def _same_subject(one: Entry, other: Entry) -> bool:
    def subject(entry: Entry) -> tuple[object, ...]:
        return entry.action, entry.tier, entry.otherwise, bool(entry.daily), entry.days

    return (
        subject(one) == subject(other)
        and not one.providers.isdisjoint(other.providers)
        and not set(one.match).isdisjoint(other.match)
        and (one.regions == other.regions or not set(one.regions).isdisjoint(other.regions))
        and _change_the_same(one, other)
    )


def _change_the_same(one: Entry, other: Entry) -> bool:
    """Two adjustments may stand beside each other when they touch different rates."""
    if one.action != "adjust":
        return True
    return any(not a.keys().isdisjoint(b) for a, b in ((one.rates.tokens, other.rates.tokens), _units(one, other)))


def _units(one: Entry, other: Entry) -> tuple[Mapping[str, UnitRate], Mapping[str, UnitRate]]:
    return one.rates.units, other.rates.units


def _overlap(one: Entry, other: Entry) -> bool:
    for a, b in ((one, other), (other, one)):
        if a.to_us is not None and b.from_us is not None and a.to_us <= b.from_us:
            return False
    if not one.daily:
        return True
    return any(within(start, *window) for start, _ in one.daily for window in other.daily) or any(
        within(start, *window) for start, _ in other.daily for window in one.daily
    )


def _as_texts(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(one).lower() for one in (given if isinstance(given, list) else [given])]


def _decimal(given: Any) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _moment(given: Any) -> datetime | None:
    if isinstance(given, date) and not isinstance(given, datetime):
        return datetime.combine(given, time(), UTC)
    moment = given if isinstance(given, datetime) else _parsed(given, datetime.fromisoformat)
    if moment is None:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parsed(given: Any, parser: Callable[[str], datetime]) -> datetime | None:
    try:
        return parser(str(given))
    except ValueError:
        return None
