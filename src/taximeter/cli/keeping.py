"""`taximeter verify` and `taximeter forget`: what is kept."""

from __future__ import annotations

from typing import Annotated

import typer

from taximeter.cli.console import note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption
from taximeter.cli.progress import progress_bar
from taximeter.cli.rendering import json_text
from taximeter.cli.sources import open_source
from taximeter.errors import UsageError


def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Add up anew what differs.")] = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Prove that the roll-ups are what the events say. Exit code 1 when they were not."""
    with open_source(data, url) as source, progress_bar("comparing") as told:
        found = source.verify(repair=repair, told=told)
    if form is Form.json:
        write(json_text(found))
    else:
        for level, units in found["checked"].items():
            write(f"{level}: {units:,} compared with their events")
        for unit in found["differing"]:
            write(f"{unit['level']} {unit['start']}: differs" + (", added up anew" if repair else ""))
        if found["differing"] and not repair:
            note("Add them up anew with --repair.")
    return 1 if found["differing"] else 0


def forget(
    user_id: Annotated[str, typer.Argument(metavar="USER", help="The user, as in the field user_id.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; there is no way back.")] = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Delete every event and outcome of a user, and check that none is left."""
    if not yes:
        raise UsageError(f"this deletes every event and outcome of {user_id!r} for good", hint="say it with --yes")
    with open_source(data, url) as source:
        done = source.delete_user(user_id)
    if form is Form.json:
        write(json_text(done))
    else:
        deleted = f"{done['events']:,} events and {done['outcomes']:,} outcomes deleted"
        write(f"{deleted}, {done['remaining_rows']:,} rows still name the user")
    return 1 if done["remaining_rows"] else 0
