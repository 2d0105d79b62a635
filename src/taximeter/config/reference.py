"""The manual's table of settings, rendered from the models. `docs/configuration.md` must contain it word for word."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from taximeter.config import PREFIX
from taximeter.config.settings import Provider, Settings

BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


def markdown() -> str:
    """One table a section: setting, default, environment variable, meaning."""
    sections = [_table("providers.<name>", f"{PREFIX}PROVIDERS_<NAME>_", Provider)]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append(_table(name, f"{PREFIX}{name.upper()}_", field.annotation))
    return "\n\n".join(sections)


def _table(name: str, prefix: str, model: type[BaseModel]) -> str:
    return "\n".join(
        [f"### `{name}`", "", "| Setting | Default | Variable | Meaning |", "|---|---|---|---|", *_rows(prefix, model)]
    )


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {_default(field)} | `{prefix}{name.upper()}` | {field.description} |"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "needed"
    if value is None:
        return "none"
    if isinstance(value, SecretStr | Enum | Path):
        value = str(value)
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _rewrite(manual: Path) -> None:
    before, rest = manual.read_text(encoding="utf-8").split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    manual.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    _rewrite(Path(sys.argv[1]))
