"""Attribution: who a call was for and what it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

LONGEST_VALUE: Final = 512
"""Characters of one attribute value; longer ones are cut at the edge."""

MOST_TAGS: Final = 32
"""Tags of one event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Named dimensions plus free `tags`. None means "not said"."""

    user_id: str | None = None
    team: str | None = None
    tenant: str | None = None
    feature: str | None = None
    endpoint: str | None = None
    environment: str | None = None
    service: str | None = None
    service_version: str | None = None
    prompt_version: str | None = None
    session_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def over(self, base: Attribution) -> Attribution:
        """This attribution where it says something, `base` where it does not; tags are merged the same way."""
        if base is NOBODY:
            return self
        if self is NOBODY:
            return base
        return Attribution(
            user_id=_first(self.user_id, base.user_id),
            team=_first(self.team, base.team),
            tenant=_first(self.tenant, base.tenant),
            feature=_first(self.feature, base.feature),
            endpoint=_first(self.endpoint, base.endpoint),
            environment=_first(self.environment, base.environment),
            service=_first(self.service, base.service),
            service_version=_first(self.service_version, base.service_version),
            prompt_version=_first(self.prompt_version, base.prompt_version),
            session_id=_first(self.session_id, base.session_id),
            tags={**base.tags, **self.tags} if base.tags and self.tags else (self.tags or base.tags),
        )


def _first(mine: str | None, theirs: str | None) -> str | None:
    return theirs if mine is None else mine


NOBODY: Final = Attribution()
DIMENSIONS: Final = tuple(f.name for f in fields(Attribution) if f.name != "tags")

SHORT_NAMES: Final = {"user": "user_id", "session": "session_id"}
"""What people write in code, headers and on the command line, where it differs from the field's name."""


TAG_PREFIX: Final = "tags."
"""`tags.NAME` is the free tag NAME, where tags and dimensions are named side by side."""


def attribution(**named: object) -> Attribution:
    """An attribution from keyword arguments with short or full names; unknown names, and `tags.NAME`, become tags.

    Values are made text and cut to `LONGEST_VALUE`; None and an empty text say nothing, and are
    left out. `tags` is a mapping of its own.
    """
    values: dict[str, str] = {}
    tags: dict[str, str] = {}
    given_tags = named.pop("tags", None)
    if isinstance(given_tags, Mapping):
        tags.update({str(k)[:LONGEST_VALUE]: str(v)[:LONGEST_VALUE] for k, v in given_tags.items() if v is not None})
    for name, value in named.items():
        if value is None or value == "":
            continue
        full = SHORT_NAMES.get(name, name)
        (values if full in _DIMENSION_SET else tags)[full.removeprefix(TAG_PREFIX)] = str(value)[:LONGEST_VALUE]
    return Attribution(**values, tags=dict(list(tags.items())[:MOST_TAGS]))


_DIMENSION_SET: Final = frozenset(DIMENSIONS)
