"""What can be done about an incident at once: hold its spending to an amount, or its calls to a number a minute, pause
it, force a cheaper model.

Each is a limit that bears the incident in its name: it is in force at once everywhere, its versions say who set it and
when, and removing it is the undo.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from taximeter.alerts.alert import Labels
from taximeter.config.limits import DIMENSIONS
from taximeter.errors import UsageError

ActionKind = Literal["limit", "pause", "cheaper_model", "rate"]

_SCOPE_NAMES: Final[Mapping[str, str]] = {attribute: name for name, attribute in DIMENSIONS.items()}

USED_UP: Final[Mapping[str, Any]] = {"measure": "requests", "limit": 1, "window": "lifetime"}
"""An amount that whoever caused an incident has used up already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`scope` as a limit has it. `usd` for a `window` goes with `limit`, `model` with `cheaper_model`,
    `calls` a minute with `rate`."""

    kind: ActionKind
    scope: Mapping[str, str]
    usd: str | None = None
    window: str = "hour"
    model: str | None = None
    calls: int | None = None


def scope_of(labels: Labels) -> dict[str, str]:
    """Whom an incident is about, as the scope of a limit; empty when it is about everybody."""
    return {_SCOPE_NAMES[name]: value for name, value in labels.items() if name in _SCOPE_NAMES}


def prefix_of(incident_id: str) -> str:
    """What the names of an incident's limits begin with."""
    return f"incident-{incident_id}-"


def limit_for(incident_id: str, wish: Wish) -> dict[str, Any]:
    """The definition of the limit that an action is. Raises UsageError when the wish lacks something."""
    if not wish.scope:
        raise UsageError("whom is it about?", hint="a scope such as user=u1 or feature=chat", field="scope")
    told = ",".join(f"{name}={value}" for name, value in sorted(wish.scope.items()))
    digest = hashlib.blake2b(told.encode(), digest_size=4).hexdigest()
    name = f"{prefix_of(incident_id)}{wish.kind}-{digest}"
    return {"name": name, "scope": dict(wish.scope), "mode": "hard", "warn_at": [], **_amount(wish)}


def _amount(wish: Wish) -> Mapping[str, Any]:
    if wish.kind == "pause":
        return {**USED_UP, "action": "block"}
    if wish.kind == "cheaper_model":
        if wish.model is None:
            raise UsageError("which model is to answer?", hint="the name of a model", field="model")
        return {**USED_UP, "action": {"downgrade": wish.model}}
    if wish.kind == "rate":
        if wish.calls is None:
            raise UsageError("how many calls a minute?", hint="a number", field="calls")
        return {"measure": "requests", "limit": wish.calls, "window": "minute"}
    if wish.usd is None:
        raise UsageError("how much may be spent?", hint="an amount in US dollars", field="usd")
    return {"measure": "cost_usd", "limit": wish.usd, "window": wish.window}
