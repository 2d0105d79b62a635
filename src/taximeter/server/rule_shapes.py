"""Bodies of the routes of rules. A definition is written as in the configuration file (docs/alerts.md)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RuleShape(BaseModel):
    """A rule: its definition, and where it is from."""

    model_config = ConfigDict(extra="allow")
    name: str
    measure: str
    provisioned: bool = Field(description="from the configuration file, which alone may change it")
    version: int | None
    changed_at: str | None
    changed_by: str | None


class RuleList(BaseModel):
    rules: list[RuleShape]


class RuleHistory(BaseModel):
    """Every version, newest first; `definition` null: removed."""

    versions: list[dict[str, Any]]


class RuleTrial(BaseModel):
    """Which rule, and on which time."""

    model_config = ConfigDict(extra="forbid")
    rule: dict[str, Any] | str = Field(description="a definition, or the name of a rule")
    since: str = Field(default="7d", description="RFC 3339 or 24h, 7d; at most 31 days", examples=["7d"])
    until: str = Field(default="now", description="as `since`; not included")


class RuleFiring(BaseModel):
    """One time it would have fired, at its gravest. `to` null: it still did at the end."""

    labels: dict[str, str]
    severity: str
    summary: str
    from_: str = Field(alias="from")
    to: str | None


class RulePreview(BaseModel):
    """When a rule would have fired. `count` counts all, `firings` has the first thousand."""

    rule: dict[str, Any]
    from_: str = Field(alias="from")
    to: str
    step_seconds: int = Field(description="how often was looked")
    count: int
    firings: list[RuleFiring]
