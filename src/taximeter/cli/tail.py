"""`taximeter tail`: the calls as they come in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from taximeter.cli.console import OUT, one_line, write
from taximeter.cli.options import DataOption, Form, FormOption, OnceOption, UrlOption, WhereOption, filters
from taximeter.cli.rendering import usd
from taximeter.cli.sources import Source, open_source

POLL_SECONDS = 1.0
REMEMBERED_CALLS = 10_000
_COUNTED = ("input_tokens", "output_tokens")


def tail(
    where: WhereOption = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=1000, help="How many past calls to begin with.")
    ] = 20,
    once: OnceOption = False,
    form: FormOption = Form.table,
    data: DataOption = None,
    url: UrlOption = None,
) -> int:
    """The last calls, and then every new one. Ends with Ctrl-C."""
    chosen = filters(where)
    with open_source(data, url) as source:
        seen = _print_new(source, chosen, limit, {}, form)
        while not once:
            time.sleep(POLL_SECONDS)
            seen = _print_new(source, chosen, max(limit, 200), seen, form)
    return 0


def _print_new(
    source: Source, chosen: Mapping[str, object], limit: int, seen: dict[str, None], form: Form
) -> dict[str, None]:
    page = source.events({"filters": chosen, "limit": limit})
    fresh = [event for event in reversed(page["events"]) if event["event_id"] not in seen]
    _print(fresh, form)
    known = [*seen, *(event["event_id"] for event in fresh)]
    return dict.fromkeys(known[-REMEMBERED_CALLS:])


def _print(events: Iterable[Mapping[str, Any]], form: Form) -> None:
    for event in events:
        if form is Form.json:
            write(json.dumps(event, ensure_ascii=False))
        else:
            OUT.print(line(event), soft_wrap=True)


def line(event: Mapping[str, Any]) -> str:
    """`09:30:00  $0.0125  1000+500  gpt-4o  chat  user_1  ok  830 ms`."""
    tokens = "+".join("?" if (count := event.get(name)) is None else str(count) for name in _COUNTED)
    model = event.get("response_model") or event.get("request_model") or "?"
    who = event.get("user_id") or "–"
    took = f"{event['duration_ms']:.0f} ms" if event.get("duration_ms") is not None else ""
    parts = [event["started_at"][11:19], f"{usd(event.get('cost_usd')):>11}", f"{tokens:>13}", f"{model:<28}"]
    parts += [f"{event.get('feature') or '–':<20}", f"{who:<14}", event["status"], took]
    return one_line("  ".join(parts).rstrip())
