"""`taximeter check`: is the configuration right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter.cli.console import ERR, OUT, write
from taximeter.cli.options import ConfigOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.errors import ConfigurationError, Mistake, UsageError

if TYPE_CHECKING:
    from taximeter.config.file import Loaded
    from taximeter.config.settings import Settings


def check(
    named: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The file; otherwise the one `up` would use.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    form: FormOption = Form.table,
) -> int:
    """Check the configuration: all mistakes at once, with line numbers. Exit code 2 when there are any."""
    from taximeter.config import file

    if named is not None and config is not None:
        raise UsageError("FILE and --config are the same; give one of them")
    named = named or config
    place = str(named or file.find() or "the environment")
    try:
        loaded = file.load(named)
    except ConfigurationError as error:
        _show(form, place, (*error.mistakes, *_price_mistakes(file.named_price_file(named))))
        return error.exit_code
    mistakes = [*_price_mistakes(loaded.settings.prices.overrides), *_deeper_mistakes(loaded.settings)]
    _show(form, place, mistakes)
    if form is Form.table and not mistakes:
        _show_providers(loaded)
    return ConfigurationError.exit_code if mistakes else 0


def _price_mistakes(overrides: Path | None) -> Sequence[Mistake]:
    from taximeter.pricing import load_price_book

    try:
        load_price_book(overrides)
    except ConfigurationError as error:
        return error.mistakes
    return ()


def _deeper_mistakes(settings: Settings) -> Sequence[Mistake]:
    from taximeter.compose import alerting, exporting

    return [*alerting.mistakes(settings), *exporting.mistakes(settings)]


def _show(form: Form, place: str, mistakes: Sequence[Mistake]) -> None:
    if form is Form.json:
        write(json_text({"file": place, "mistakes": [asdict(mistake) for mistake in mistakes]}))
        return
    for mistake in mistakes:
        ERR.print(str(mistake), soft_wrap=True)
    if mistakes:
        ERR.print(f"{len(mistakes)} to mend in {place}", soft_wrap=True)


def _show_providers(loaded: Loaded) -> None:
    OUT.print(f"{loaded.path or 'No file: the defaults'}: good", soft_wrap=True)
    for name, provider in loaded.settings.providers.items():
        key = "with a key" if provider.api_key else "no key here, clients bring their own"
        OUT.print(f"  /{name}/  {provider.kind}  {provider.base_url}  ({key})", soft_wrap=True)
