"""The small pages behind the links of messages: plain HTML that needs no script and nothing beside itself.

They are read on a telephone at night: what it is about, what the button does, the button. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from taximeter.alerts.alert import Labels
from taximeter.alerts.links import PATH, TEXTS, Deed, Purpose
from taximeter.errors import TaximeterError
from taximeter.server import deeds
from taximeter.store.metadata import IncidentRecord

SILENCE_SECONDS: Final[Mapping[str, int]] = {"1 hour": 3600, "4 hours": 4 * 3600, "1 day": 24 * 3600}

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>{title}</title>
<body style="font:16px/1.5 system-ui;max-width:32em;margin:2em auto;padding:0 1em">
<h1 style="font-size:1.3em">{title}</h1>
{body}
<p><a href="/?page=alerts">All incidents</a></p>
"""
_FORM: Final = """<form action="{path}" method="post">
<input type="hidden" name="token" value="{token}">
{fields}
<p><button style="font:inherit;padding:.6em 1.6em">{text}</button></p>
</form>
"""
_WHO: Final = '<p><label>Your name<br><input name="by" maxlength="100" style="font:inherit"></label></p>'
_ACTIONS: Final = """<p><label><input type="radio" name="kind" value="limit" checked> at most</label>
<input name="usd" inputmode="decimal" size="6" style="font:inherit" aria-label="US dollars"> US dollars an hour</p>
<p><label><input type="radio" name="kind" value="pause"> no calls at all</label></p>
<p><label><input type="radio" name="kind" value="cheaper_model"> another model answers:</label>
<input name="model" size="16" style="font:inherit" aria-label="Model"></p>
"""


def asked(deed: Deed, token: str, record: IncidentRecord, match: Labels, scope: Labels) -> bytes:
    """What a link would do, and the button."""
    told = f"<p>{escape(_what(deed, match, scope))}</p>"
    return _page(f"{record.severity.upper()} {deeds.title(record)}", _state(record) + told + _form(deed.purpose, token))


def done_page(title: str, told: str, undo: str | None = None) -> bytes:
    """What was done. `undo` is the token of a link that undoes it."""
    return _page(title, f"<p>{escape(told)}</p>" + ("" if undo is None else _form("undo", undo)))


def refusal(error: TaximeterError) -> bytes:
    return _page("Nothing was done", f"<p>{escape(str(error))}</p>")


def _page(title: str, body: str) -> bytes:
    return _PAGE.format(title=escape(title), body=body).encode()


def _form(purpose: Purpose, token: str) -> str:
    fields = {"silence": _lasts(), "act": _ACTIONS}.get(purpose, "") + _WHO
    return _FORM.format(path=PATH, token=escape(token), fields=fields, text=TEXTS[purpose])


def _lasts() -> str:
    choices = "".join(f"<option>{escape(name)}</option>" for name in SILENCE_SECONDS)
    return f'<p><label>For <select name="for" style="font:inherit">{choices}</select></label></p>'


def _state(record: IncidentRecord) -> str:
    if record.resolved_at_us is not None:
        return "<p><b>It is over.</b></p>"
    taken = record.acknowledged_by
    return f"<p>Taken by {escape(taken)}.</p>" if taken else "<p>Nobody has taken it.</p>"


def _what(deed: Deed, match: Labels, scope: Labels) -> str:
    return {
        "acknowledge": "You take it: it is told again only if it gets graver, and nobody else is woken.",
        "silence": f"Nobody is told of what matches {deeds.in_words(match)}. It is watched all the same.",
        "act": f"In force at once, until it is undone, for {deeds.in_words(scope)}:",
        "undo": f"{deed.name} is undone.",
    }[deed.purpose]
