"""What a limit's definition may say, wherever it is said: in the file, over the API, on the command line, in the SDK.

    {name: monthly-tokens, scope: user, each: true, measure: total_tokens, limit: 100000, window: month, mode: hard}

A definition is read into a `Limit`, or refused with everything that is wrong with it. Standard library only: the SDK
reads limits as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Measure = Literal["cost_usd", "input_tokens", "output_tokens", "total_tokens", "requests", "concurrent"]
MEASURES: Final[tuple[Measure, ...]] = (
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "requests",
    "concurrent",
)

WindowKind = Literal["minute", "hour", "day", "week", "month", "rolling", "lifetime", "now"]
WINDOWS: Final = ("minute", "hour", "day", "week", "month", "rolling", "lifetime")

Mode = Literal["hard", "soft"]
Admission = Literal["exact", "expected"]
ActionKind = Literal["block", "cut", "throttle", "downgrade", "notify"]

NANO_USD: Final = 1_000_000_000
"""Counters keep money in whole billionths of a dollar, rounded up: never a fraction, and never too little."""

LARGEST_AMOUNT: Final = 2**53 - 1
"""The largest amount of a limit (9,007,199 USD; 9e15 tokens): beyond it Redis' scripts would compare inexactly."""

LONGEST_NAME: Final = 100
MOST_OVERRIDES: Final = 10_000
MOST_RAISES: Final = 100

DIMENSIONS: Final[Mapping[str, str]] = {
    "user": "user_id",
    "team": "team",
    "tenant": "tenant",
    "feature": "feature",
    "endpoint": "endpoint",
    "key": "api_key_id",
    "model": "model",
    "environment": "environment",
    "service": "service",
    "provider": "provider",
}
"""What a scope may name, and how the call's attribute is called. `tags.NAME` is the tag NAME."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DURATION: Final = re.compile(r"(\d+)\s*([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_RATE: Final = re.compile(r"(\d+)\s*/\s*(s|second|m|minute|h|hour)")


@dataclass(frozen=True, slots=True)
class Window:
    """When a limit's amount is there anew. `now` is that of calls at once: it has no beginning.

    `start_day` is the day of the month on which a fiscal month begins (31: on the last day of shorter ones).
    """

    kind: WindowKind
    zone: str = "UTC"
    start_day: int = 1
    seconds: int = 0
    """Length of a rolling window."""

    def as_definition(self) -> str | dict[str, Any]:
        if self.kind == "rolling":
            return {"rolling": f"{self.seconds}s"}
        return self.kind


@dataclass(frozen=True, slots=True)
class Action:
    """What happens when a call does not fit: `model` to downgrade to, or calls let through `per_hour`."""

    kind: ActionKind
    model: str | None = None
    per_hour: int = 0

    def as_definition(self) -> str | dict[str, Any]:
        if self.kind == "downgrade":
            return {"downgrade": self.model}
        return {"throttle": f"{self.per_hour}/hour"} if self.kind == "throttle" else self.kind


@dataclass(frozen=True, slots=True)
class Raise:
    """More for a while: `amount` on top until an instant, for everybody or for one value of `each`."""

    amount: int
    until_us: int
    only: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A definition that is in order. `amount` is in the measure's unit: nano-USD, tokens, requests, calls at once.

    `where` are the values a call must have, `each` the attributes whose every value has the amount for itself;
    `overrides` are amounts of some of these values (of several attributes, joined by "/").
    """

    name: str
    measure: Measure
    amount: int
    window: Window
    where: tuple[tuple[str, frozenset[str]], ...] = ()
    each: tuple[str, ...] = ()
    overrides: Mapping[str, int] = field(default_factory=dict)
    raises: tuple[Raise, ...] = ()
    mode: Mode = "hard"
    admission: Admission = "exact"
    action: Action = Action("block")
    warn_at: tuple[int, ...] = ()
    unattributed: Literal["exempt", "share"] = "exempt"

    @property
    def caps(self) -> bool:
        """Whether a call that does not fit is refused."""
        return self.mode == "hard" and self.action.kind in ("block", "cut")

    def amount_of(self, value: str, now_us: int) -> int:
        """What one value of `each` has now, raises included; "" for a limit without `each`."""
        amount = self.overrides.get(value, self.amount) if self.overrides else self.amount
        for extra in self.raises:
            if now_us < extra.until_us and extra.only in (None, value):
                amount += extra.amount
        return amount

    def as_definition(self) -> dict[str, Any]:
        """The definition that reads back as this limit."""
        return _written(self)


class Problem(NamedTuple):
    """One thing wrong with a definition: the keys that lead there, and what is wrong."""

    path: tuple[str | int, ...]
    message: str


class LimitProblems(ValueError):  # noqa: N818 - it carries all of them
    """Everything that is wrong with a definition."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems))


class About(NamedTuple):
    """A key of a definition, for the manual."""

    name: str
    default: str
    meaning: str


KEYS: Final = (
    About("name", "needed", "Its name: letters, digits, `-`, `_`, `.`; no two limits share one."),
    About(
        "scope",
        "needed",
        "Whose spending: `global`; an attribute with `each: true` (`user`); or values (`{feature: chat, user: [a, "
        "b]}`). Attributes: " + ", ".join(f"`{name}`" for name in DIMENSIONS) + ", `tags.NAME`.",
    ),
    About("each", "`false`", "`true`: every value of the scope's attribute has the amount for itself. Or attributes."),
    About("measure", "needed", "What is counted: " + ", ".join(f"`{name}`" for name in MEASURES) + "."),
    About("limit", "needed", "The amount: US dollars, tokens, requests, or calls at once."),
    About(
        "window",
        "needed",
        "`minute`, `hour`, `day`, `week` (from Monday), `month`, `lifetime`, or `{rolling: 24h}`; `concurrent` has "
        "none.",
    ),
    About("timezone", "`UTC`", "The zone in which its windows begin, by IANA name."),
    About("start_day", "`1`", "The day on which a fiscal month begins; 31 is the last day of every month."),
    About("mode", "`hard`", "`hard` refuses what does not fit, `soft` only tells."),
    About("admission", "`exact`", "`exact`: never overspent; `expected`: holds what such calls usually need."),
    About(
        "action",
        "`block`",
        "What happens to a call that does not fit: `block`; `cut` (running streams as well); `{downgrade: MODEL}`; "
        "`{throttle: 10/minute}`; `notify`, which is the default of `soft`.",
    ),
    About("warn_at", "`[80, 100]`", "Percentages that are told, each once a window."),
    About("overrides", "none", "Other amounts for some values of `each`: `{user_7: 500000}`."),
    About("raises", "none", "More for a while: `[{by: 50, until: 2026-12-01, for: user_7}]`; `for` may be left out."),
    About("unattributed", "`exempt`", "Calls without the attribute of `each`: `exempt`, or they `share` one amount."),
)
"""The keys of a definition. `docs/limits.md` has this table."""

_KEY_NAMES: Final = tuple(about.name for about in KEYS)

T = TypeVar("T")


def read_limits(definitions: object) -> tuple[Limit, ...]:
    """All limits of a list, or `LimitProblems` with everything wrong with any of them (paths begin with the index)."""
    if definitions is None:
        return ()
    if not isinstance(definitions, Sequence) or isinstance(definitions, str):
        raise LimitProblems([Problem((), "should be a list of limits")])
    limits: list[Limit] = []
    problems: list[Problem] = []
    for index, definition in enumerate(definitions):
        try:
            limits.append(definition if isinstance(definition, Limit) else read_limit(definition))
        except LimitProblems as found:
            problems += [Problem((index, *problem.path), problem.message) for problem in found.problems]
    problems += _repeated(definitions)
    if problems:
        raise LimitProblems(problems)
    return tuple(limits)


def _repeated(definitions: Sequence[object]) -> list[Problem]:
    seen: set[str] = set()
    found = []
    for index, definition in enumerate(definitions):
        name = definition.name if isinstance(definition, Limit) else mapping_of(definition).get("name")
        if isinstance(name, str) and name in seen:
            found.append(Problem((index, "name"), f"another limit is named '{name}' already"))
        seen.add(str(name))
    return found


def mapping_of(value: object) -> Mapping[str, Any]:
    """`value` when it is a mapping, otherwise an empty one."""
    return value if isinstance(value, Mapping) else {}


def read_limit(definition: object) -> Limit:
    """The limit that a definition means. Raises `LimitProblems` with everything that is wrong with it."""
    if not isinstance(definition, Mapping):
        raise LimitProblems([Problem((), "should be a mapping: {name, scope, measure, limit, window}")])
    return _Reader(definition).limit()


class _Reader:
    """Reads one definition, collecting what is wrong."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._problems: list[Problem] = [
            Problem((key,), f"there is no such key; there are: {', '.join(_KEY_NAMES)}")
            for key in given
            if key not in _KEY_NAMES
        ]

    def limit(self) -> Limit:
        measure = self._one_of("measure", MEASURES)
        where, each = self._scope()
        mode = self._one_of("mode", ("hard", "soft"), "hard")
        read = self._read(measure or "requests")
        amount = self._needed("limit", read)
        fields = {
            "name": self._name(),
            "window": self._window(measure),
            "admission": self._one_of("admission", ("exact", "expected"), "exact"),
            "action": self._action(mode),
            "warn_at": self._warn_at(),
            "overrides": self._overrides(read, each),
            "raises": self._raises(read),
            "unattributed": self._one_of("unattributed", ("exempt", "share"), "exempt"),
        }
        if self._problems:
            raise LimitProblems(self._problems)
        return Limit(measure=measure, amount=amount, where=where, each=each, mode=mode, **fields)  # type: ignore[arg-type]

    def _wrong(self, message: str, *path: str | int) -> None:
        self._problems.append(Problem(path, message))

    def _needed(self, key: str, read: Callable[[Any], T]) -> T | None:
        if self._given.get(key) is None:
            self._wrong("is needed", key)
            return None
        return self._tried(read, self._given[key], key)

    def _tried(self, read: Callable[[Any], T], value: Any, *path: str | int) -> T | None:
        try:
            return read(value)
        except ValueError as error:
            self._wrong(str(error), *path)
            return None

    def _one_of(self, key: str, allowed: Sequence[str], default: str | None = None) -> Any:
        value = self._given.get(key, default)
        if value is None:
            self._wrong(f"is needed: one of {', '.join(allowed)}", key)
        elif value not in allowed:
            self._wrong(f"should be one of {', '.join(allowed)}, not {value!r}", key)
        return value

    def _name(self) -> str | None:
        name = self._needed("name", str)
        if name is not None and (not _NAME.fullmatch(name) or len(name) > LONGEST_NAME):
            self._wrong(f"should be 1 to {LONGEST_NAME} letters, digits, '-', '_', '.', not {name!r}", "name")
        return name

    # ── amounts ────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, measure: str) -> Callable[[Any], int]:
        return lambda given: amount_in(measure, given)

    def _overrides(self, read: Callable[[Any], int], each: tuple[str, ...]) -> dict[str, int]:
        given = self._given.get("overrides") or {}
        if not isinstance(given, Mapping) or len(given) > MOST_OVERRIDES:
            self._wrong(f"should be a mapping of at most {MOST_OVERRIDES} values to amounts", "overrides")
            return {}
        if given and not each:
            self._wrong("are for values of `each`, which this limit has not", "overrides")
        read_all = {str(value): self._tried(read, amount, "overrides", str(value)) for value, amount in given.items()}
        return {value: amount for value, amount in read_all.items() if amount is not None}

    def _raises(self, read: Callable[[Any], int]) -> tuple[Raise, ...]:
        given = self._given.get("raises") or ()
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MOST_RAISES:
            self._wrong(f"should be a list of at most {MOST_RAISES}: [{{by: 50, until: 2026-12-01}}]", "raises")
            return ()
        read_all = [self._raise(read, one, index) for index, one in enumerate(given)]
        return tuple(one for one in read_all if one is not None)

    def _raise(self, read: Callable[[Any], int], one: object, index: int) -> Raise | None:
        if not isinstance(one, Mapping) or not {"by", "until"} <= one.keys() <= {"by", "until", "for"}:
            self._wrong(
                "should be {by: AMOUNT, until: INSTANT}, with `for: VALUE` when it is for one only", "raises", index
            )
            return None
        by = self._tried(read, one["by"], "raises", index, "by")
        until = self._tried(_instant_us, one["until"], "raises", index, "until")
        only = None if one.get("for") is None else str(one["for"])
        return None if by is None or until is None else Raise(by, until, only)

    # ── whose ──────────────────────────────────────────────────────────────────────────────────────────────

    def _scope(self) -> tuple[tuple[tuple[str, frozenset[str]], ...], tuple[str, ...]]:
        scope, each = self._given.get("scope"), self._given.get("each", False)
        if scope is None:
            self._wrong("is needed: global, an attribute with `each: true`, or {attribute: value}", "scope")
            return (), ()
        if isinstance(scope, str):
            return (), self._named_scope(scope, each)
        if not isinstance(scope, Mapping) or not scope:
            self._wrong("should be global, an attribute, or {attribute: value}", "scope")
            return (), ()
        where = tuple(
            (attribute, self._values(value, str(name)))
            for name, value in scope.items()
            if (attribute := self._attribute(str(name), "scope")) is not None
        )
        return where, self._each(each)

    def _named_scope(self, scope: str, each: object) -> tuple[str, ...]:
        if scope == "global":
            return self._each(each)
        attribute = self._attribute(scope, "scope")
        if each is True:
            return (attribute,) if attribute else ()
        if attribute is not None:
            self._wrong(f"which {scope}? Say `each: true`, or `scope: {{{scope}: VALUE}}`", "scope")
        return ()

    def _each(self, each: object) -> tuple[str, ...]:
        if each is False or each is None:
            return ()
        if each is True:
            self._wrong("`true` is for a scope that names an attribute only; name the attribute here", "each")
            return ()
        named = [each] if isinstance(each, str) else each
        if not isinstance(named, Sequence):
            self._wrong("should be true, or the name of an attribute", "each")
            return ()
        return tuple(attribute for name in named if (attribute := self._attribute(str(name), "each")) is not None)

    def _attribute(self, name: str, key: str) -> str | None:
        if name in DIMENSIONS:
            return DIMENSIONS[name]
        if name in DIMENSIONS.values() or (name.startswith("tags.") and len(name) > len("tags.")):
            return name
        self._wrong(f"there is no attribute {name!r}; there are: {', '.join(DIMENSIONS)}, tags.NAME, global", key)
        return None

    def _values(self, value: object, name: str) -> frozenset[str]:
        values = value if isinstance(value, list | tuple) else [value]
        if not values or any(one is None or isinstance(one, Mapping | list) for one in values):
            self._wrong("should be a value, or a list of values", "scope", name)
            return frozenset()
        return frozenset(map(str, values))

    # ── when ───────────────────────────────────────────────────────────────────────────────────────────────

    def _window(self, measure: str | None) -> Window:
        given = self._given.get("window")
        zone = self._tried(_zone, self._given.get("timezone", "UTC"), "timezone") or "UTC"
        day = self._start_day(given)
        if measure == "concurrent":
            if given is not None:
                self._wrong("calls at once have no window", "window")
            return Window("now")
        if given is None:
            self._wrong(f"is needed: one of {', '.join(WINDOWS)}", "window")
        elif isinstance(given, Mapping) and given.keys() == {"rolling"}:
            seconds = self._tried(_seconds, given["rolling"], "window", "rolling")
            return Window("rolling", zone, seconds=seconds or 1)
        elif not isinstance(given, str) or given not in WINDOWS or given == "rolling":
            self._wrong(
                f"should be one of {', '.join(w for w in WINDOWS if w != 'rolling')}, {{rolling: 24h}}", "window"
            )
        else:
            return Window(given, zone, day)  # type: ignore[arg-type]
        return Window("lifetime")

    def _start_day(self, window: object) -> int:
        day = self._given.get("start_day", 1)
        if type(day) is not int or not 1 <= day <= 31:
            self._wrong(f"should be a day of the month, 1 to 31, not {day!r}", "start_day")
            return 1
        if day != 1 and window != "month":
            self._wrong("is for the window month", "start_day")
        return day

    # ── what happens ───────────────────────────────────────────────────────────────────────────────────────

    def _action(self, mode: str) -> Action:
        given = self._given.get("action", "notify" if mode == "soft" else "block")
        if isinstance(given, Mapping) and given.keys() == {"downgrade"} and isinstance(given["downgrade"], str):
            return Action("downgrade", model=given["downgrade"])
        if isinstance(given, Mapping) and given.keys() == {"throttle"}:
            return Action("throttle", per_hour=self._tried(_per_hour, given["throttle"], "action", "throttle") or 1)
        if given not in ("block", "cut", "notify"):
            self._wrong("should be block, cut, notify, {downgrade: MODEL} or {throttle: 10/minute}", "action")
            return Action("block")
        if (mode == "soft") != (given == "notify") and given != "cut":
            self._wrong("a soft limit cannot block, and a hard one does more than notify", "action")
        return Action(given)

    def _warn_at(self) -> tuple[int, ...]:
        given = self._given.get("warn_at", (80, 100))
        listed = given if isinstance(given, list | tuple) else [given]
        if any(type(one) is not int or not 1 <= one <= 1000 for one in listed):
            self._wrong("should be whole percentages from 1 to 1000", "warn_at")
            return ()
        return tuple(sorted(set(listed)))


def amount_in(measure: str, given: object) -> int:
    """An amount in the unit of its measure: dollars become nano-USD, anything else is a whole number.

    Raises ValueError with what is wrong.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        raise ValueError(f"should be a number, not {given!r}")
    try:
        number = Decimal(str(given).replace("_", ""))
    except InvalidOperation:
        raise ValueError(f"should be a number, not {given!r}") from None
    amount = number * NANO_USD if measure == "cost_usd" else number
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"should be more than 0, not {given}")
    if amount > LARGEST_AMOUNT:
        raise ValueError(f"should be at most {shown_amount(measure, LARGEST_AMOUNT)}, not {given}")
    if amount != int(amount):
        finest = "a billionth of a dollar" if measure == "cost_usd" else "a whole number"
        raise ValueError(f"should be {finest} at the finest, not {given}")
    return int(amount)


def shown_amount(measure: str, amount: int) -> str | int:
    """An amount as people write it: dollars as a decimal string, counts as they are."""
    if measure != "cost_usd":
        return amount
    text = f"{Decimal(amount).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _zone(given: object) -> str:
    try:
        ZoneInfo(str(given))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {given!r}; for instance Europe/Berlin") from None
    return str(given)


def _seconds(given: object) -> int:
    found = _DURATION.fullmatch(str(given).strip())
    if found is None or not int(found[1]):
        raise ValueError(f"should be a duration such as 90m, 24h or 30d, not {given!r}")
    return int(found[1]) * _SECONDS[found[2]]


def _per_hour(given: object) -> int:
    found = _RATE.fullmatch(str(given).strip())
    if found is None or not int(found[1]):
        raise ValueError(f"should be a rate such as 2/second or 10/minute, not {given!r}")
    return int(found[1]) * (3600 // _SECONDS[found[2][0]])


def _instant_us(given: object) -> int:
    """A day (its beginning, UTC) or an RFC 3339 instant. YAML has made dates of them already."""
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    try:
        moment = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except ValueError:
        raise ValueError(f"should be a day or an instant such as 2026-12-01T00:00:00Z, not {given!r}") from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


def _written(limit: Limit) -> dict[str, Any]:
    names = {attribute: name for name, attribute in DIMENSIONS.items()}
    where = {names.get(name, name): sorted(values) for name, values in limit.where}
    each = [names.get(name, name) for name in limit.each]
    written: dict[str, Any] = {
        "name": limit.name,
        "scope": where or "global",
        "measure": limit.measure,
        "limit": shown_amount(limit.measure, limit.amount),
        "mode": limit.mode,
        "admission": limit.admission,
        "action": limit.action.as_definition(),
        "warn_at": list(limit.warn_at),
    }
    if each:
        written["each"] = each
    if limit.window.kind != "now":
        written["window"] = limit.window.as_definition()
        written["timezone"] = limit.window.zone
    if limit.window.start_day != 1:
        written["start_day"] = limit.window.start_day
    if limit.overrides:
        written["overrides"] = {v: shown_amount(limit.measure, a) for v, a in limit.overrides.items()}
    if limit.raises:
        written["raises"] = [_written_raise(limit.measure, one) for one in limit.raises]
    if limit.unattributed != "exempt":
        written["unattributed"] = limit.unattributed
    return written


def _written_raise(measure: str, one: Raise) -> dict[str, Any]:
    until = datetime.fromtimestamp(one.until_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    written: dict[str, Any] = {"by": shown_amount(measure, one.amount), "until": until}
    return written if one.only is None else {**written, "for": one.only}


def names_of(limits: Iterable[Limit]) -> list[str]:
    """The names of some limits."""
    return [limit.name for limit in limits]
