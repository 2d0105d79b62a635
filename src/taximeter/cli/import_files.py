"""`taximeter import`: files that other tools and providers wrote become events."""

from __future__ import annotations

from typing import Annotated

import typer

from taximeter.cli.options import DataOption, UrlOption


def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Files, directories of them, or LiteLLM's database: postgresql://...",
            show_default=False,
        ),
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="What they are. [default: told by their content]",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="Which column is which field. Repeatable.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would come.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as stable JSON.")] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Take in usage that other tools and providers recorded. Repeating an import changes nothing. Exit code 1 when
    something in the files was wrong."""
    from taximeter.cli.import_run import run_import  # it needs prices and the store, which take a second to load

    return run_import(files, format_, columns or [], dry_run=dry_run, as_json=as_json, data=data, url=url)
