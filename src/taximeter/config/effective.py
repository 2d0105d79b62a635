"""The settings in force, as they may be shown: what each is, where that is from, and no secret in any of them.

What is shown is what is known to be harmless: numbers, switches, words out of a list. Of an address only scheme and
host are, of a mapping whose values are anybody's (channels, exporters) only its names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from taximeter.config.limits import Limit
from taximeter.config.lines import Path as SettingPath
from taximeter.config.lines import dotted
from taximeter.config.settings import Settings

MASK: Final = "••••"

NAMED: Final = frozenset({("alerts", "channels"), ("exporters", "to")})
"""Settings whose values are anybody's, and may all be secrets: `kind` is shown of each, and the names of the others."""


class Origin(NamedTuple):
    """Where a value is from; `at` is the line of the file, or the variable's name."""

    kind: Literal["default", "file", "environment", "command line"]
    at: str | None = None


DEFAULT: Final = Origin("default")

Origins = Mapping[SettingPath, Origin]
"""By the path of a value that was said. A setting without any at or below it has its default."""


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """`value` is JSON; a secret is `MASK` when there is one, None when there is none."""

    name: str
    value: Any
    origin: Origin
    is_secret: bool
    about: str


@dataclass(frozen=True, slots=True)
class ShownSection:
    name: str
    settings: tuple[ShownSetting, ...]


def effective(settings: Settings, origins: Origins) -> tuple[ShownSection, ...]:
    """Every section with its settings, in the order of the manual."""
    return tuple(
        ShownSection(name, tuple(_settings(getattr(settings, name), (name,), _about(Settings, name), origins)))
        for name in Settings.model_fields
    )


def _settings(value: Any, path: SettingPath, about: str, origins: Origins) -> Iterator[ShownSetting]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _settings(getattr(value, name), (*path, name), _about(type(value), name), origins)
    elif path in NAMED or not isinstance(value, Mapping) or not _has_sections(value):
        shown, is_secret = (_named(value), False) if path in NAMED else _shown(value)
        yield ShownSetting(dotted(path), shown, _origin(path, origins), is_secret, about)
    else:
        for name, inner in value.items():
            yield from _settings(inner, (*path, str(name)), about, origins)


def _has_sections(value: Mapping[Any, Any]) -> bool:
    return any(isinstance(inner, BaseModel) for inner in value.values())


def _about(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].description or ""


def _origin(path: SettingPath, origins: Origins) -> Origin:
    """That of the path itself, or of the first thing said below it."""
    return next((origin for said, origin in origins.items() if said[: len(path)] == path), DEFAULT)


def _named(value: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        name: {key: str(given) if key == "kind" else MASK for key, given in inner.items()}
        for name, inner in value.items()
    }


def _shown(value: Any) -> tuple[Any, bool]:
    """A value as JSON, and whether it is a secret."""
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else None, True
    if value is None or isinstance(value, bool | int | float):
        return value, False
    if isinstance(value, Limit):
        return value.name, False
    if isinstance(value, BaseModel):
        return _entry(value), False
    if isinstance(value, Mapping):
        return {str(key): _shown(inner)[0] for key, inner in value.items()}, False
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(inner)[0] for inner in value], False
    return shown_text(str(value.value if isinstance(value, Enum) else value)), False


def _entry(model: BaseModel) -> Any:
    """An entry of a list: its name where it has one, else what was said of it."""
    name = getattr(model, "name", None)
    return str(name) if name else {key: _shown(getattr(model, key))[0] for key in sorted(model.model_fields_set)}


def shown_text(text: str) -> str:
    """Of an address, scheme and host: a name, a password or a token may be in any other part."""
    scheme, found, place = text.partition("://")
    if not found:
        return text
    try:
        parts = urlsplit(f"{scheme}://{place.rpartition('@')[2]}")
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return f"{scheme}://{MASK}"
    rest = f"/{MASK}" if parts.path.strip("/") or parts.query or parts.fragment else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{rest}"
