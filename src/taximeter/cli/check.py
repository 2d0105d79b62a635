"""`taximeter check`: is the configuration right?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taximeter.cli.console import ERR, OUT
from taximeter.config import file
from taximeter.errors import ConfigurationError


def check(
    named: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The file; otherwise the one `up` would use.", show_default=False),
    ] = None,
) -> int:
    """Check the configuration: all mistakes at once, with line numbers. Exit code 2 when there are any."""
    try:
        loaded = file.load(named)
    except ConfigurationError as error:
        for mistake in error.mistakes:
            ERR.print(str(mistake), markup=False, soft_wrap=True)
        ERR.print(f"{len(error.mistakes)} to mend in {named or file.find(None) or 'the environment'}", markup=False)
        return error.exit_code
    OUT.print(f"{loaded.path or 'No file: the defaults'}: good", markup=False)
    for name, provider in loaded.settings.providers.items():
        key = "with a key" if provider.api_key else "no key here, clients bring their own"
        OUT.print(f"  /{name}/  {provider.kind}  {provider.base_url}  ({key})", markup=False, soft_wrap=True)
    return 0
