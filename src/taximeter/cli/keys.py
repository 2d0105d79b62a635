"""`taximeter keys`: credentials for gateways, senders, readers and administrators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer
from rich.table import Table

from taximeter.cli.console import OUT, note, write
from taximeter.cli.options import ConfigOption, DataOption, Form, FormOption
from taximeter.cli.rendering import json_text
from taximeter.cli.sources import running_server
from taximeter.config import data_directory
from taximeter.errors import UnavailableError, UsageError

app: Final = typer.Typer()


@app.callback(invoke_without_command=True)
def keys_group(context: typer.Context) -> None:
    """Create, list and revoke keys."""
    if context.invoked_subcommand is None:
        write(context.get_help())


class KeyScope(StrEnum):
    gateway = "gateway"
    ingest = "ingest"
    read = "read"
    admin = "admin"


class Keys(Protocol):
    """Where keys are kept: a running server, or the data directory."""

    def create(self, name: str, scope: str, attributes: dict[str, str], attributes_win: bool) -> dict[str, Any]: ...

    def list(self) -> list[dict[str, Any]]: ...

    def revoke(self, key_id: str) -> dict[str, Any]: ...


@app.command("create")
def create(
    name: Annotated[str, typer.Option("--name", metavar="N", help="What it is for.")],
    scope: Annotated[KeyScope, typer.Option("--scope", help="What it may do.")],
    attribute: Annotated[
        list[str] | None,
        typer.Option(
            "--attribute",
            metavar="NAME=VALUE",
            help="Bound to every call made with it. Repeatable.",
            show_default=False,
        ),
    ] = None,
    attributes_win: Annotated[
        bool,
        typer.Option(
            "--attributes-win/--no-attributes-win",
            help="They win over what the caller says, or fill in what the caller leaves out.",
        ),
    ] = True,
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Create a key. It is shown this once; only its hash is kept."""
    with _open(config, data, new=True) as keys:
        made = keys.create(name, scope.value, _attributes(attribute or []), attributes_win)
    if form is Form.json:
        write(json_text({part: made[part] for part in ("id", "name", "scope", "key")}))
    else:
        OUT.print(made["key"], soft_wrap=True)
        note(f"{made['scope']} key '{made['name']}', id {made['id']}. Keep it: it is not shown again.")
    return 0


@app.command("list")
def list_(form: FormOption = Form.table, config: ConfigOption = None, data: DataOption = None) -> int:
    """All keys, without the secrets."""
    with _open(config, data) as keys:
        found = keys.list()
    if form is Form.json:
        write(json_text({"keys": found}))
        return 0
    table = Table("id", "name", "scope", "attributes", "created", "revoked", header_style="bold")
    for key in found:
        bound = ", ".join(f"{name}={value}" for name, value in key["attributes"].items())
        bound += "" if key["attributes_win"] or not bound else " (unless said otherwise)"
        table.add_row(
            key["id"], key["name"], key["scope"], bound, key["created_at"][:16], (key["revoked_at"] or "")[:16]
        )
    OUT.print(table)
    return 0


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows.")],
    form: FormOption = Form.table,
    config: ConfigOption = None,
    data: DataOption = None,
) -> int:
    """Revoke a key, at once."""
    with _open(config, data) as keys:
        gone = keys.revoke(key_id)
    if form is Form.json:
        write(json_text(gone))
    else:
        note(f"revoked '{gone['name']}' ({gone['id']})")
    return 0


@app.command("signin")
def signin(data: DataOption = None) -> int:
    """Print a new sign-in link of the running server."""
    server = running_server(data or data_directory())
    if server is None:
        raise UnavailableError("no server is running on this data directory", hint="start it with: taximeter up")
    write(server.post("/api/v1/signin-links", {})["url"])
    return 0


def _attributes(given: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--attribute {one}: not NAME=VALUE", hint="such as --attribute team=core")
        found[name.strip()] = value.strip()
    return found


class _ServerKeys:
    def __init__(self, remote: Any) -> None:
        self._remote = remote

    def create(self, name: str, scope: str, attributes: dict[str, str], attributes_win: bool) -> dict[str, Any]:
        wish = {"name": name, "scope": scope, "attributes": attributes, "attributes_win": attributes_win}
        made: dict[str, Any] = self._remote.post("/api/v1/keys", wish)
        return made

    def list(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._remote.get("/api/v1/keys")["keys"]
        return found

    def revoke(self, key_id: str) -> dict[str, Any]:
        gone: dict[str, Any] = self._remote.delete(f"/api/v1/keys/{key_id}")
        return gone


@contextmanager
def _open(config: Path | None, data: Path | None, *, new: bool = False) -> Iterator[Keys]:
    directory = data or data_directory()
    server = running_server(directory)
    if server is not None:
        yield _ServerKeys(server)
        return
    from taximeter.compose.keys import open_keys
    from taximeter.config.file import load

    with open_keys(load(config).settings, directory, new=new) as desk:
        yield _DeskKeys(desk)


class _DeskKeys:
    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def create(self, name: str, scope: str, attributes: dict[str, str], attributes_win: bool) -> dict[str, Any]:
        made: dict[str, Any] = self._desk.create(name, scope, attributes, attributes_win=attributes_win).model_dump()
        return made

    def list(self) -> list[dict[str, Any]]:
        return [key.model_dump() for key in self._desk.list()]

    def revoke(self, key_id: str) -> dict[str, Any]:
        gone: dict[str, Any] = self._desk.revoke(key_id).model_dump()
        return gone
