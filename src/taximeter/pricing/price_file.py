"""Price files: our dated corrections, imported lists and the user's own prices, in one format.

    prices:
      - provider: openai                # a name, or a list of names; "*" is every provider
        match: gpt-4o                   # the model and its dated snapshots (gpt-4o-2024-08-06); "*" at either end
                                        # stands for anything; a list is fine
        from: 2024-05-13                # a day (UTC) or an instant; left out: always
        to: 2024-10-02                  # not included
        daily: 01:00-04:00, 06:00-10:00 # only in these hours (UTC)
        days: [mon, tue, wed, thu, fri] # and only on these days (UTC)
        tier: batch                     # only calls served in this tier or speed; left out: the standard one
        region: us                      # only calls served there; "*" at either end and lists as for models
        team: core                      # only calls of this team, or of one in a list
        tenant: acme                    # only calls of this tenant, or of one in a list
        source: https://...             # where the price is published
        checked: 2026-11-20             # when somebody last compared it with the source; `never` says so
        note: ...                       # for people
        rates: {input: "5", output: "15"}     # USD per million tokens
        units: {web_searches: "0.01"}         # USD per unit, or {usd: "0.36", per: 3600, at_least: 10, at_most: 60}
        above: {200000: {input: "6"}}         # rates of requests with more input tokens than this

    aliases:
      - provider: azure                 # who was called, as events name it; "*" at either end, lists; needed
        model: [prod-chat]              # the deployment, profile or model called; left out: any
        from: 2026-01-01                # as above
        is: {model: gpt-4.1, region: data-zone-eu}    # provider, model, tier, region: what it stands for

    providers:
      openai: {names: [openai-eu, our-proxy]}  # other names under which calls of a provider are recorded

An entry does exactly one thing:

* `rates` and `units` set the price of a model: what `rates` do not name is charged as the whole it is part of (cache
  reads as input, reasoning as output); fees per unit that `units` do not name stay. With `fill: true` this is only for
  models, tiers and times for which the layers below know no price;
* `adjust` (same form as `rates`) changes some rates and leaves the others, `units` alone does so for fees;
* `derive: {cache_write_1h: {input: "2"}}` gives a missing rate as another one x a factor;
* `as: other-model` prices a model as another one; it holds for the very name only, not for its snapshots;
* `multiply: "0.9"` is a discount or a surcharge on the tokens, with `fees: true` on fees per unit too. With `tier` it
  makes the price of that tier out of the standard one; `otherwise: true` then keeps it for models without a listed
  price of that tier. `kind` is one of surcharge (the default with `region`), discount (the default without),
  commitment, markup: in each file the fittest of every kind applies, and they multiply with each other.

Amounts are decimal strings. A number is understood too, unless it carries the noise of binary rounding
(0.30000000000000004). A price of exactly 0 needs `free: true`. Everything that is wrong in a file is reported at
once, with its line, in a ConfigurationError, and nothing of the file is used.
"""

from __future__ import annotations

import json
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
from taximeter.pricing.entries import (
    DISCOUNT,
    KINDS,
    SURCHARGE,
    Action,
    Alias,
    Entry,
    PriceFile,
    overlap,
    same_subject,
    tier_name,
)
from taximeter.pricing.hours import WEEKDAYS
from taximeter.pricing.rates import TOKEN_RATES, UNIT_SYNONYMS, UNITS, Origin, Rates, Step, UnitRate

ACTIONS: Final[Mapping[str, Action]] = {
    "rates": "set",
    "adjust": "adjust",
    "derive": "derive",
    "as": "as",
    "multiply": "multiply",
}
"""What an entry does, by the key that says so."""

MOST_USD_PER_MILLION: Final = Decimal(100_000)
MOST_USD_PER_UNIT: Final = Decimal(10_000)
"""Dearer prices are taken for a slip of the unit."""
MOST_FACTOR: Final = Decimal(100)

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
    "team",
    "tenant",
    "rates",
    "adjust",
    "above",
    "units",
    "derive",
    "as",
    "multiply",
    "kind",
    "fees",
    "otherwise",
    "fill",
    "free",
    "source",
    "checked",
    "note",
)

ALIAS_KEYS: Final = ("provider", "model", "from", "to", "is", "note")
STANDS_FOR: Final = ("provider", "model", "tier", "region")
FLAGS: Final = ("free", "otherwise", "fill", "fees")
NEVER: Final = "never"

LONG_TEXT: Final = 64 * 1024
"""Characters from which on JSON is read without looking for the lines of mistakes."""


def read_file(path: Path, layer: str, *, ours: bool = False) -> PriceFile:
    """The entries of a file, which came with this release where it is `ours`. Raises ConfigurationError with every
    mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(str(path), [Mistake("file", f"cannot be read: {error}")]) from None
    return parse(text, layer, source=str(path), ours=ours)


def parse(text: str, layer: str, *, source: str = "prices", ours: bool = False) -> PriceFile:
    """The entries in a text (YAML or JSON). Raises ConfigurationError with every mistake in it."""
    document = _document(text, ours)
    reader = _Reader(document, layer)
    entries, aliases, names = reader.entries(), reader.aliases(), reader.provider_names()
    if reader.mistakes:
        raise ConfigurationError(source, sorted(reader.mistakes, key=lambda mistake: mistake.line or 0))
    return PriceFile(layer, text, tuple(entries), tuple(aliases), *names)


def _document(text: str, ours: bool) -> Document:
    """YAML with its lines. JSON without: it is what importers write, thousands of entries long, and what is taken over
    from public lists."""
    if (ours or len(text) > LONG_TEXT) and text.lstrip().startswith("{"):
        try:
            return Document(values=json.loads(text, parse_float=str))
        except ValueError:
            pass
    return read_yaml(text, {}, ours=ours)


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
            if key not in ("prices", "providers", "aliases", "schema"):
                self._wrong((key,), "there is no such key; there are: prices, aliases, providers")
        given = values.get("prices") or []
        if not isinstance(given, list):
            self._wrong(("prices",), "should be a list of entries")
            return []
        read = [(place, self._entry(one, place)) for place, one in ((("prices", i), e) for i, e in enumerate(given))]
        known = [(place, entry) for place, entry in read if entry is not None]
        self._report_overlaps(known)
        return [entry for _, entry in known]

    def aliases(self) -> list[Alias]:
        values = self._document.values
        given = (values.get("aliases") if isinstance(values, dict) else None) or []
        if not isinstance(given, list):
            self._wrong(("aliases",), "should be a list of aliases")
            return []
        read = [self._alias(one, ("aliases", index)) for index, one in enumerate(given)]
        return [alias for alias in read if alias is not None]

    def _alias(self, given: Any, place: Place) -> Alias | None:
        if not isinstance(given, dict):
            self._wrong(place, "should be a mapping")
            return None
        before = len(self.mistakes)
        self._known_keys(given, ALIAS_KEYS, place)
        stands_for = self._mapping(given.get("is"), (*place, "is"))
        self._known_keys(stands_for, STANDS_FOR, (*place, "is"))
        if not stands_for:
            self._wrong(place, "'is' is needed: what it stands for, such as {model: gpt-4.1}")
        from_us, to_us = (self._instant(given.get(key), (*place, key)) for key in ("from", "to"))
        if from_us is not None and to_us is not None and from_us >= to_us:
            self._wrong((*place, "to"), "should be later than 'from'")
        alias = Alias(
            providers=tuple(self._names(given, "provider", place)),
            models=tuple(_as_texts(given.get("model"))),
            from_us=from_us,
            to_us=to_us,
            **{name: str(said).lower() for name, said in stands_for.items() if name in STANDS_FOR and said},
        )
        return alias if len(self.mistakes) == before else None

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
        self._known_keys(given, KEYS, place)
        self._flags(given, place)
        origin = self._origin(given, place)
        entry = Entry(
            action=self._action(given, place),
            providers=frozenset(self._names(given, "provider", place)),
            match=tuple(self._names(given, "match", place)),
            origin=origin,
            from_us=origin.from_us,
            to_us=origin.to_us,
            daily=self._windows(given.get("daily"), (*place, "daily")),
            days=frozenset(self._days(given, place)),
            tier=tier_name(given.get("tier")),
            regions=tuple(_as_texts(given.get("region"))),
            teams=frozenset(_as_names(given.get("team"))),
            tenants=frozenset(_as_names(given.get("tenant"))),
            rates=self._rates(given, place).marked(origin),
            derived=self._derived(given.get("derive"), (*place, "derive")),
            priced_as=str(given.get("as") or "").lower(),
            factor=Decimal(1) if origin.factor is None else origin.factor,
            kind=self._kind(given, place),
            fees=given.get("fees") is True,
            otherwise=given.get("otherwise") is True,
            fill=given.get("fill") is True,
        )
        if entry.from_us is not None and entry.to_us is not None and entry.from_us >= entry.to_us:
            self._wrong((*place, "to"), "should be later than 'from'")
        return entry if len(self.mistakes) == before else None

    def _known_keys(self, given: Mapping[str, Any], known: Sequence[str], place: Place) -> None:
        for key in given:
            if key not in known:
                self._wrong((*place, key), f"there is no such key; there are: {', '.join(known)}")

    def _flags(self, given: Mapping[str, Any], place: Place) -> None:
        for key in FLAGS:
            if not isinstance(given.get(key, False), bool):
                self._wrong((*place, key), f"should be true or false, not {given[key]!r}")

    def _origin(self, given: Mapping[str, Any], place: Place) -> Origin:
        checked = given.get("checked")
        return Origin(
            layer=self._layer,
            rule=self._rule(given),
            source=str(given["source"]) if given.get("source") else None,
            checked=None if checked == NEVER else self._day(checked, (*place, "checked")),
            from_us=self._instant(given.get("from"), (*place, "from")),
            to_us=self._instant(given.get("to"), (*place, "to")),
            factor=self._factor(given, place),
        )

    def _kind(self, given: Mapping[str, Any], place: Place) -> str:
        kind = given.get("kind", SURCHARGE if given.get("region") else DISCOUNT)
        if kind not in KINDS:
            self._wrong((*place, "kind"), f"should be one of {', '.join(KINDS)}, not {kind!r}")
        return str(kind)

    def _derived(self, given: Any, place: Place) -> dict[str, tuple[str, Decimal]]:
        found = {}
        for name, said in self._mapping(given, place).items():
            of = self._mapping(said, (*place, name))
            if name not in TOKEN_RATES or len(of) != 1 or next(iter(of)) not in TOKEN_RATES:
                self._wrong((*place, name), 'should be one rate x a factor, such as cache_write_1h: {input: "2"}')
                continue
            base, factor = next(iter(of.items()))
            amount = self._amount(factor, (*place, name, base), MOST_FACTOR)
            if amount is not None:
                found[name] = (base, amount)
        return found

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
        at_us = instant_us(given)
        if at_us is None:
            self._wrong(place, f"should be a day or an instant such as 2026-08-17, not {given!r}")
        return at_us

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
        least, most = (self._bound(said, key, place) for key in ("at_least", "at_most"))
        return UnitRate(usd, per, least or Decimal(0), most)

    def _bound(self, said: Mapping[str, Any], key: str, place: Place) -> Decimal | None:
        if key not in said:
            return None
        bound = _decimal(said[key])
        if bound is None or bound <= 0:
            self._wrong((*place, key), f"should be a number of units, not {said[key]!r}")
        return bound

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

    def _factor(self, given: Mapping[str, Any], place: Place) -> Decimal | None:
        if "multiply" not in given:
            return None
        factor = self._amount(given["multiply"], (*place, "multiply"), MOST_FACTOR)
        if factor == 0 and given.get("free") is not True:
            self._wrong((*place, "multiply"), "a factor of 0 needs 'free: true' in its entry")
        return factor

    def _report_overlaps(self, entries: Sequence[tuple[Place, Entry]]) -> None:
        before: dict[str, list[tuple[Place, Entry]]] = {}
        for place, entry in entries:
            others = [other for pattern in entry.match for other in before.get(pattern, ())]
            clash = next((at for at, other in others if same_subject(entry, other) and overlap(entry, other)), None)
            if clash is not None:
                line = self._document.line_of(clash)
                self._wrong(place, f"overlaps in time with the entry of line {line} for the same model")
            for pattern in entry.match:
                before.setdefault(pattern, []).append((place, entry))


def _as_texts(given: Any) -> list[str]:
    if given is None:
        return []
    return [str(one).lower() for one in (given if isinstance(given, list) else [given])]


def _as_names(given: Any) -> list[str]:
    """Names of teams and tenants, which are not ours to change the case of."""
    if given is None:
        return []
    return [str(one) for one in (given if isinstance(given, list) else [given])]


def _decimal(given: Any) -> Decimal | None:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def instant_us(given: Any) -> int | None:
    """Microseconds since the epoch of a day (UTC) or an instant; None for anything else."""
    moment = _moment(given)
    return None if moment is None else to_unix_us(moment)


def _moment(given: Any) -> datetime | None:
    """The instant of a YAML date or datetime, or of RFC 3339 text; UTC where it names no zone."""
    try:
        moment = given if isinstance(given, date) else datetime.fromisoformat(str(given))
    except ValueError:
        return None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
