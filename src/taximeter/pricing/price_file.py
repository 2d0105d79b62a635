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

    providers:
      openai: {names: [openai-eu, our-proxy]}  # other names under which calls of a provider are recorded

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
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from taximeter.clock import to_unix_us
from taximeter.config.lines import Document, dotted
from taximeter.config.lines import Path as Place
from taximeter.config.lines import read as read_yaml
from taximeter.errors import ConfigurationError, Mistake
from taximeter.pricing.entries import Action, Entry, PriceFile, overlap, same_subject, tier_name
from taximeter.pricing.hours import WEEKDAYS
from taximeter.pricing.rates import TOKEN_RATES, UNIT_SYNONYMS, UNITS, Rates, Step, UnitRate

ACTIONS: Final[Mapping[str, Action]] = {"rates": "set", "adjust": "adjust", "as": "as", "multiply": "multiply"}
"""What an entry does, by the key that says so."""

MOST_USD_PER_MILLION: Final = Decimal(100_000)
MOST_USD_PER_UNIT: Final = Decimal(10_000)
"""Dearer prices are taken for a slip of the unit."""

MOST_DIGITS: Final = 12
"""Digits of a number written without quotes; more of them are the noise of binary rounding."""

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
    entries, names = reader.entries(), reader.provider_names()
    if reader.mistakes:
        raise ConfigurationError(source, sorted(reader.mistakes, key=lambda mistake: mistake.line or 0))
    return PriceFile(layer, text, tuple(entries), *names)


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
                self._wrong((key,), "there is no such key; there are: prices, providers")
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
        values = self._document.values
        given = self._mapping(values.get("providers") if isinstance(values, dict) else None, ("providers",))
        said = {name: self._mapping(about, ("providers", name)) for name, about in given.items()}
        synonyms = {other: name for name, about in said.items() for other in _as_texts(about.get("names"))}
        listed_as = {name: str(about["listed_as"]) for name, about in said.items() if about.get("listed_as")}
        return synonyms, listed_as, frozenset(name for name, about in said.items() if about.get("pass_on"))

    def _wrong(self, place: Place, message: str) -> None:
        self.mistakes.append(Mistake(dotted(place), message, self._document.line_of(place)))

    def _entry(self, given: Any, place: Place) -> Entry | None:
        """The entry at a place; None when something is wrong with it."""
        if not isinstance(given, dict):
            self._wrong(place, "should be a mapping")
            return None
        before = len(self.mistakes)
        for key in given:
            if key not in KEYS:
                self._wrong((*place, key), f"there is no such key; there are: {', '.join(KEYS)}")
        entry = Entry(
            action=self._action(given, place),
            providers=frozenset(self._names(given, "provider", place)),
            match=tuple(self._names(given, "match", place)),
            rule=self._rule(given),
            from_us=self._instant(given.get("from"), (*place, "from")),
            to_us=self._instant(given.get("to"), (*place, "to")),
            daily=self._windows(given.get("daily"), (*place, "daily")),
            days=frozenset(self._days(given, place)),
            tier=tier_name(given.get("tier")),
            regions=tuple(_as_texts(given.get("region"))),
            rates=self._rates(given, place),
            priced_as=str(given.get("as") or "").lower(),
            factor=self._factor(given, place),
            otherwise=bool(given.get("otherwise")),
            checked=self._day(given.get("checked"), (*place, "checked")),
        )
        if entry.from_us is not None and entry.to_us is not None and entry.from_us >= entry.to_us:
            self._wrong((*place, "to"), "should be later than 'from'")
        return entry if len(self.mistakes) == before else None

    def _rule(self, given: Mapping[str, Any]) -> str:
        """The name by which a cost refers to the entry."""
        subject = "/".join((_as_texts(given.get(key)) or ["?"])[0] for key in ("provider", "match"))
        since = f"@{given['from']}" if given.get("from") else ""
        return f"{self._layer}:{subject}{since}"

    def _action(self, given: Mapping[str, Any], place: Place) -> Action:
        named = [key for key in ACTIONS if key in given]
        if len(named) > 1:
            self._wrong(place, f"does two things at once: {' and '.join(named)}")
        elif not named and "units" not in given:
            self._wrong(place, f"says no price: give one of {', '.join(ACTIONS)}, units")
        return ACTIONS[named[0]] if named else "adjust"

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

    def _day(self, given: Any, place: Place) -> date | None:
        if given is None:
            return None
        moment = _moment(given)
        if moment is None:
            self._wrong(place, f"should be a day such as 2026-08-17, not {given!r}")
        return moment.date() if moment else None

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
                if same_subject(entry, other) and overlap(entry, other):
                    line = self._document.line_of(other_place)
                    self._wrong(place, f"overlaps in time with the entry of line {line} for the same model")
                    break


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
    """The instant of a YAML date or datetime, or of RFC 3339 text; UTC where it names no zone."""
    try:
        moment = given if isinstance(given, date) else datetime.fromisoformat(str(given))
    except ValueError:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
