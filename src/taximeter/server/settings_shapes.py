"""The settings in force, as they are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field

from taximeter.config.effective import ShownSection, ShownSetting


class OriginShape(BaseModel):
    kind: Literal["default", "file", "environment", "command line"]
    at: str | None = Field(description="the line of the file, the variable's name, or the flag")


class SettingShape(BaseModel):
    name: str = Field(examples=["server.port"])
    value: Any = Field(description="JSON; of a secret and of what may be one only that it is set")
    origin: OriginShape
    is_secret: bool
    about: str


class SectionShape(BaseModel):
    name: str
    settings: list[SettingShape]


class SettingsAnswer(BaseModel):
    """What is in force since the start. Secrets are never told."""

    version: str
    role: str
    started_at: str
    python_version: str
    data_directory: str
    config_file: str | None = Field(description="null: there was none, everything is default or environment")
    sections: list[SectionShape]


def sections_told(shown: Iterable[ShownSection]) -> list[SectionShape]:
    return [SectionShape(name=one.name, settings=[_setting(setting) for setting in one.settings]) for one in shown]


def _setting(shown: ShownSetting) -> SettingShape:
    return SettingShape(
        name=shown.name,
        value=shown.value,
        origin=OriginShape(kind=shown.origin.kind, at=shown.origin.at),
        is_secret=shown.is_secret,
        about=shown.about,
    )
