"""Tables of the manual, rendered from what they speak of. `docs/` must contain them word for word."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Final, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from taximeter.config import PREFIX
from taximeter.config.chargeback import MarkupSettings
from taximeter.config.exporting import FileSettings, SpanSettings
from taximeter.config.known import KNOWN
from taximeter.config.settings import Provider, Retries, Settings

MANUALS: Final = ("docs/configuration.md", "docs/gateway.md")


def providers() -> str:
    """The table of well-known providers."""
    rows = []
    for name, known in KNOWN.items():
        keys = ", ".join(f"`{variable}`" for variable in known.key_variables) or "none"
        rows.append(f"| `{name}` | `{known.kind}` | `{known.base_url}` | {keys} |")
    return "\n".join(["| Name | Kind | Base URL | Variable of the key |", "|---|---|---|---|", *rows])


def markdown() -> str:
    """One table a section: setting, default, environment variable, meaning."""
    sections = [
        _table("providers.<name>", f"{PREFIX}PROVIDERS_<NAME>_", Provider),
        _table("providers.<name>.retries", None, Retries),
    ]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections.append(_table(name, f"{PREFIX}{name.upper()}_", field.annotation))
    sections.append(_table("chargeback.markups.<value>", None, MarkupSettings))
    sections.append(_table("exporters.files.<name>", None, FileSettings))
    sections.append(_table("exporters.spans.<name>", None, SpanSettings))
    return "\n\n".join(sections)


def _table(name: str, prefix: str | None, model: type[BaseModel]) -> str:
    """`prefix` None: these have no variables."""
    columns = "| Setting | Default | Variable | Meaning |\n|---|---|---|---|"
    if prefix is None:
        columns = "| Setting | Default | Meaning |\n|---|---|---|"
    return "\n".join([f"### `{name}`", "", columns, *_rows(prefix, model)])


def _rows(prefix: str | None, model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = "" if _is_structured(field) or prefix is None else f"`{prefix}{name.upper()}`"
        cells = [f"`{name}`", _default(field), *([] if prefix is None else [variable]), str(field.description)]
        yield "| " + " | ".join(cells) + " |"


def _is_structured(field: FieldInfo) -> bool:
    """Whether a value is more than a text can say."""
    parts = (field.annotation, *get_args(field.annotation))
    collections = any(get_origin(part) in (tuple, list, dict) for part in parts)
    return collections or any(isinstance(part, type) and issubclass(part, BaseModel) for part in parts)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "needed"
    if value is None or value == ():
        return "none"
    if isinstance(value, SecretStr | Enum | Path):
        value = str(value)
    return f"`{value if isinstance(value, str | Decimal) else json.dumps(value)}`"


TABLES: Final[Mapping[str, Callable[[], str]]] = {"settings": markdown, "providers": providers}
"""What stands between `<!-- name -->` and `<!-- /name -->` of a manual."""


def _rewrite(manual: Path) -> None:
    text = manual.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        if begin:
            after = rest.split(f"<!-- /{name} -->", 1)[1]
            text = f"{before}{begin}\n{table()}\n<!-- /{name} -->{after}"
    manual.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for named in sys.argv[1:] or MANUALS:
        _rewrite(Path(named))
