"""`taximeter check`: is the configuration right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter.cli.console import ERR, OUT, write
from taximeter.cli.options import Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.errors import ConfigurationError, Mistake

if TYPE_CHECKING:
    from taximeter.config.file import Loaded


def check(
    named: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The file; otherwise the one `up` would use.", show_default=False),
    ] = None,
    form: FormOption = Form.table,
) -> int:
    """Check the configuration: all mistakes at once, with line numbers. Exit code 2 when there are any."""
    from taximeter.config import file
    from taximeter.pricing import load_price_book

    place = str(named or file.find() or "the environment")
    try:
        loaded = file.load(named)
        load_price_book(loaded.settings.prices.overrides)
    except ConfigurationError as error:
        _show(form, place, error.mistakes)
        return error.exit_code
    _show(form, place, ())
    if form is Form.table:
        _show_providers(loaded)
    return 0


def _show(form: Form, place: str, mistakes: Sequence[Mistake]) -> None:
    if form is Form.json:
        write(json_text({"file": place, "mistakes": [asdict(mistake) for mistake in mistakes]}))
        return
    for mistake in mistakes:
        ERR.print(str(mistake), markup=False, soft_wrap=True)
    if mistakes:
        ERR.print(f"{len(mistakes)} to mend in {place}", markup=False, soft_wrap=True)


def _show_providers(loaded: Loaded) -> None:
    OUT.print(f"{loaded.path or 'No file: the defaults'}: good", markup=False, soft_wrap=True)
    for name, provider in loaded.settings.providers.items():
        key = "with a key" if provider.api_key else "no key here, clients bring their own"
        OUT.print(f"  /{name}/  {provider.kind}  {provider.base_url}  ({key})", markup=False, soft_wrap=True)
