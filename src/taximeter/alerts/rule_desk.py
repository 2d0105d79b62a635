"""Rules of one's own: those of the configuration file, and those that are set while the server runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from taximeter.alerts.backtest import Backtest, tried
from taximeter.alerts.policy import patience_of
from taximeter.alerts.states import Patience
from taximeter.alerts.thresholds import Threshold, threshold
from taximeter.clock import Clock
from taximeter.config.alerting import RuleSettings
from taximeter.errors import NotFoundError, PermissionDeniedError, UsageError
from taximeter.store.events import EventStore
from taximeter.store.metadata import RuleBook, Version, provenance

MOST_RULES: Final = 500
"""Rules that are set here; each is a question every five seconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DefinedRule:
    """A rule and where it is from: `version` None is the configuration file, which alone may change it."""

    rule: Threshold
    version: Version | None

    def as_dict(self) -> dict[str, Any]:
        return {**self.rule.settings.as_definition(), **provenance(self.version)}


class RuleDesk:
    """The rules in force. Safe to use from many threads; all methods block and raise StoreError."""

    def __init__(self, configured: Sequence[Threshold], book: RuleBook, store: EventStore, clock: Clock) -> None:
        self._configured = {rule.name: rule for rule in configured}
        self._book = book
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._read: tuple[int, Sequence[DefinedRule]] | None = None
        """The rules, and the number of the change they were read after."""

    def defined(self) -> Sequence[DefinedRule]:
        """All rules in force, by name, whoever changed them last."""
        number = self._book.change_number()
        with self._lock:
            if self._read is None or self._read[0] != number:
                self._read = number, self._now()
            return self._read[1]

    def one(self, name: str) -> DefinedRule:
        """Raises NotFoundError."""
        found = next((one for one in self.defined() if one.rule.name == name), None)
        if found is None:
            raise NotFoundError(f"there is no rule '{name}'", hint="see `taximeter rules list`")
        return found

    def patience(self) -> Mapping[str, Patience]:
        return {one.rule.name: patience_of(one.rule.settings) for one in self.defined()}

    def set(self, definition: Mapping[str, Any], changed_by: str) -> DefinedRule:
        """A new rule, or a new version of one. Raises UsageError with all that is wrong, PermissionDeniedError for a
        rule of the file."""
        rule = read_rule(definition)
        self._refuse_provisioned(rule.name)
        known = {one.rule.name for one in self.defined() if one.version is not None}
        if rule.name not in known and len(known) >= MOST_RULES:
            raise UsageError(f"there are {MOST_RULES} rules already", hint="remove one, or use `each`", field="name")
        self._book.set(rule.name, rule.settings.as_definition(), changed_by)
        return self.one(rule.name)

    def remove(self, name: str, changed_by: str) -> None:
        """Raises NotFoundError, and PermissionDeniedError for a rule of the file."""
        self._refuse_provisioned(name)
        self._book.remove(name, changed_by)

    def history(self, name: str) -> Sequence[Version]:
        """Every version of a rule that was set here, newest first."""
        return self._book.history(name)

    def tried(self, wanted: Mapping[str, Any] | str, from_us: int, to_us: int) -> Backtest:
        """When a rule (a definition, or a name) would have fired. Raises UsageError, NotFoundError."""
        rule = self.one(wanted).rule if isinstance(wanted, str) else read_rule(wanted)
        return tried(rule, self._store, from_us, min(to_us, self._clock.now_us()))

    def _refuse_provisioned(self, name: str) -> None:
        if name in self._configured:
            raise PermissionDeniedError(
                f"the rule '{name}' is in the configuration file", hint="change it there and start again"
            )

    def _now(self) -> Sequence[DefinedRule]:
        defined = [DefinedRule(rule, None) for rule in self._configured.values()]
        for version in self._book.current():
            if version.name not in self._configured and version.definition is not None:
                defined += _kept(version, version.definition)
        return sorted(defined, key=lambda one: one.rule.name)


def _kept(version: Version, definition: Mapping[str, Any]) -> list[DefinedRule]:
    """A rule of another version of taximeter may say what this one does not know: that one is left out, and said."""
    try:
        return [DefinedRule(read_rule(definition), version)]
    except UsageError as error:
        _log.error("the rule %r cannot be used: %s", version.name, error)
        return []


def read_rule(definition: Mapping[str, Any]) -> Threshold:
    """Raises UsageError with all that is wrong."""
    try:
        settings = RuleSettings.model_validate(definition)
    except ValidationError as error:
        wrong = [
            (".".join(map(str, one["loc"])) or "body", one["msg"].removeprefix("Value error, "))
            for one in error.errors()
        ]
        mistakes = [{"field": field, "message": told} for field, told in wrong]
        first = mistakes[0]
        raise UsageError(f"{first['field']}: {first['message']}", field=first["field"], mistakes=mistakes) from None
    return threshold(settings)
