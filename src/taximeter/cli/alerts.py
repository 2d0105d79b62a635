"""`taximeter alerts`: what is wrong, who was told, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final

import typer
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from taximeter.cli.console import OUT, note, write
from taximeter.cli.options import DataOption, Form, FormOption, UrlOption, filters
from taximeter.cli.rendering import json_text, minute
from taximeter.cli.sources import watching
from taximeter.errors import UsageError
from taximeter.sdk.remote import Remote

app: Final = typer.Typer()

_COLOURS: Final = {"critical": "red", "warning": "yellow"}
IncidentArgument = Annotated[str, typer.Argument(metavar="ID", help="An incident, or the beginning of its id.")]


@app.callback(invoke_without_command=True)
def alerts_group(context: typer.Context) -> None:
    """Incidents: list, show, acknowledge, silence; try a channel; mark a deployment."""
    if context.invoked_subcommand is None:
        write(context.get_help())


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Notifications that could not be delivered, instead.")] = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Open incidents, newest first. Exit code 1 when there are any, so that scripts can ask."""
    remote = watching(data, url)
    if dead:
        answer = remote.get("/api/v1/notifications", [("state", "dead")])
        _print(answer, form, lambda: OUT.print(_letters(answer["notifications"])))
        return 1 if answer["notifications"] else 0
    answer = remote.get("/api/v1/alerts", [("state", "all" if every else "open")])
    found = answer["incidents"]
    _print(answer, form, lambda: OUT.print(_incidents(found)) if found else note("Nothing is wrong."))
    return 1 if any(one["resolved_at"] is None for one in found) else 0


@app.command("show")
def show(
    incident: IncidentArgument, form: FormOption = Form.table, data: DataOption = None, url: UrlOption = None
) -> int:
    """One incident: its alerts, the first steps that were taken, who was told, and the runbook."""
    remote = watching(data, url)
    page = remote.get(f"/api/v1/alerts/{_whole_id(remote, incident)}")
    books = {book["name"]: book for book in remote.get("/api/v1/runbooks")["runbooks"]}
    _print(page, form, lambda: _show(page, books))
    return 0


@app.command("ack")
def ack(
    incident: IncidentArgument,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who takes it.", show_default=False)] = None,
    back: Annotated[bool, typer.Option("--back", help="Give it back instead.")] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Take an incident: it is not told again unless it gets graver, and its escalation ends."""
    remote = watching(data, url)
    path = f"/api/v1/alerts/{_whole_id(remote, incident)}/acknowledge"
    answer = remote.delete(path) if back else remote.post(path, {"by": by} if by else {})
    taken = answer["acknowledged_by"]
    note(f"{answer['title']}: {f'taken by {taken}' if taken else 'given back'}.")
    return 0


@app.command("escalate")
def escalate(incident: IncidentArgument, data: DataOption = None, url: UrlOption = None) -> int:
    """Tell the next ones of an incident's escalation now, also when it is taken."""
    remote = watching(data, url)
    answer = remote.post(f"/api/v1/alerts/{_whole_id(remote, incident)}/escalate", {})
    note(f"{answer['title']}: the next ones of its escalation are told.")
    return 0


class Deed(StrEnum):
    """What can be done about an incident."""

    limit = "limit"
    pause = "pause"
    cheaper_model = "cheaper_model"
    rate = "rate"


@app.command("act")
def act(
    incident: IncidentArgument,
    deed: Annotated[Deed | None, typer.Argument(help="What to do.", show_default=False)] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="NAME=VALUE",
            help="Whom, as in a limit. [default: whom the incident is about]",
            show_default=False,
        ),
    ] = None,
    usd: Annotated[
        str | None, typer.Option("--usd", metavar="AMOUNT", help="For limit: US dollars.", show_default=False)
    ] = None,
    window: Annotated[str, typer.Option("--window", metavar="WINDOW", help="For limit: its window.")] = "hour",
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="MODEL", help="For cheaper_model: who answers instead.", show_default=False),
    ] = None,
    calls: Annotated[
        int | None, typer.Option("--calls", metavar="N", help="For rate: calls a minute.", show_default=False)
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="NAME", help="Undo this instead.", show_default=False)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Do something about an incident at once: limit spending or calls, pause it, force a cheaper model. Shows what it
    would do and asks first. Without a deed: what was done."""
    remote = watching(data, url)
    path = f"/api/v1/alerts/{_whole_id(remote, incident)}/actions"
    if undo is not None:
        remote.delete(f"{path}/{undo}")
        note("Undone.")
    elif deed is None:
        for one in remote.get(path)["actions"]:
            note(f"{one['name']}: {one['definition']} ({one['changed_by']}, {minute(one['changed_at'])})")
    else:
        said = {"scope": filters(scope) or None, "usd": usd, "model": model, "calls": calls}
        wish = {"kind": deed.value, "window": window, **{k: v for k, v in said.items() if v is not None}}
        planned = remote.post(path, wish)
        note(f"This limit is set: {json_text(planned['definition'])}")
        if not yes and not typer.confirm("Do it?"):
            return 1
        done = remote.post(path, {**wish, "confirm": True})
        note(f"Done. Undo it: --undo {done['name']}")
    return 0


@app.command("silence")
def silence(
    match: Annotated[
        list[str] | None,
        typer.Option("--match", metavar="LABEL=VALUE", help="Which incidents. Repeatable.", show_default=False),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="RFC 3339; not included.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="RFC 3339. [default: now]", show_default=False)
    ] = None,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")] = "",
    end: Annotated[
        str | None, typer.Option("--end", metavar="ID", help="End this silence now instead.", show_default=False)
    ] = None,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Tell nobody of matching incidents for a time. Without options: the silences that last."""
    remote = watching(data, url)
    if end is not None:
        remote.delete(f"/api/v1/silences/{end}")
        note("Ended.")
    elif match:
        if until is None:
            raise UsageError("a silence needs an end", hint="--until 2026-12-01T08:00:00Z")
        wish = {"match": filters(match), "to": until, "comment": comment} | ({"from": since} if since else {})
        made = remote.post("/api/v1/silences", wish)
        _print(made, form, lambda: note(f"Silent until {made['to']}. End it: --end {made['silence_id']}"))
    else:
        answer = remote.get("/api/v1/silences")
        _print(answer, form, lambda: OUT.print(_silences(answer["silences"])))
    return 0


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="A channel of the configuration.")],
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Send a test message to a channel. Exit code 1 when it did not get through."""
    remote = watching(data, url)
    answer = remote.post(f"/api/v1/channels/{channel}/test", {})
    note(f"{channel}: delivered." if answer["delivered"] else f"{channel}: {answer['error']}")
    return 0 if answer["delivered"] else 1


@app.command("annotate")
def annotate(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="Such as 'checkout 4.2 deployed'.")],
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME=VALUE", help="What it concerns. Repeatable.", show_default=False),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="T", help="RFC 3339. [default: now]", show_default=False)
    ] = None,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """Mark a deployment or another event: it is shown with incidents that begin soon after."""
    wish = {"text": text, "labels": filters(label)} | ({"at": at} if at else {})
    remote = watching(data, url)
    made = remote.post("/api/v1/annotations", wish)
    note(f"Marked at {made['at']}.")
    return 0


# ── how it looks ───────────────────────────────────────────────────────────────────────────────────────────


def _print(answer: object, form: Form, draw: Any) -> None:
    if form is Form.json:
        write(json_text(answer))
    else:
        draw()


def _whole_id(remote: Remote, beginning: str) -> str:
    """The id of the one incident that begins so. Raises UsageError when there are several, or none."""
    found = remote.get("/api/v1/alerts", [("state", "all"), ("limit", "500")])["incidents"]
    matching = [one["incident_id"] for one in found if one["incident_id"].startswith(beginning)]
    if len(matching) != 1:
        told = f"{len(matching)} incidents begin with {beginning!r}"
        raise UsageError(
            told if matching else f"there is no incident {beginning!r}", hint="taximeter alerts list --all"
        )
    return str(matching[0])


def _table(title: str | None, *columns: str) -> Table:
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    return drawn


def _incidents(found: Sequence[Mapping[str, Any]]) -> Table:
    drawn = _table(None, "id", "severity", "what", "since", "state")
    for one in found:
        state = (
            "resolved"
            if one["resolved_at"]
            else f"taken by {one['acknowledged_by']}"
            if one["acknowledged_by"]
            else "open"
        )
        colour = _COLOURS.get(one["severity"], "")
        drawn.add_row(
            one["incident_id"], Text(one["severity"], style=colour), one["title"], minute(one["opened_at"]), state
        )
    return drawn


def _show(page: Mapping[str, Any], books: Mapping[str, Mapping[str, Any]]) -> None:
    incident = page["incident"]
    OUT.print(f"{incident['severity'].upper()} {incident['title']}", style="bold")
    OUT.print(f"since {minute(incident['opened_at'])} UTC, {len(incident['alerts'])} alerts\n")
    for alert in incident["alerts"][:10]:
        OUT.print(f"· {alert['summary']} ({alert['state']})")
    facts = incident["alerts"][0]["facts"] if incident["alerts"] else {}
    for title, answer in facts.get("evidence") or []:
        OUT.print(f"  {title}: {answer}")
    for mark in page["annotations"]:
        OUT.print(f"  marked {minute(mark['at'])}: {mark['text']}")
    if page["notifications"]:
        OUT.print(_letters(page["notifications"]))
    book = books.get(str(facts.get("runbook")))
    if book is not None:
        OUT.print(Markdown(book["text"]))


def _letters(letters: Sequence[Mapping[str, Any]]) -> Table:
    drawn = _table("told", "when", "channel", "event", "state", "tries", "error")
    for one in letters:
        state = (one["channel"], one["event"], one["state"], str(one["tries"]), one["error"] or "")
        drawn.add_row(minute(one["created_at"]), *state)
    return drawn


def _silences(silences: Sequence[Mapping[str, Any]]) -> Table:
    drawn = _table(None, "id", "matches", "from", "to", "author", "comment")
    for one in silences:
        matches = ", ".join(f"{name}={value}" for name, value in one["match"].items())
        drawn.add_row(one["silence_id"], matches, minute(one["from"]), minute(one["to"]), one["author"], one["comment"])
    return drawn
