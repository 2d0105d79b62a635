"""A link in a message does what it was made for, for a time; whatever was changed about it, it does nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from night import HandClock
from test_channels import NOTIFICATION, OPENED

from taximeter.alerts.channels.email import html, text_lines
from taximeter.alerts.channels.pagerduty import event
from taximeter.alerts.channels.slack import blocks
from taximeter.alerts.links import Deed, DeedLinks, LinkOverError, LinkRefusedError, Purpose, Signer
from taximeter.alerts.message import DeedLink, Message

KEY = b"k" * 32
NOW_US = 1_800_000_000_000_000
DAY_US = 24 * 3600 * 1_000_000
DEED = Deed(purpose="acknowledge", incident_id="i1", told="i1/all/slack/1", expires_at_us=NOW_US + 1)
ALL: Sequence[Purpose] = ("acknowledge", "silence", "act")

deeds = st.builds(
    Deed,
    purpose=st.sampled_from(["acknowledge", "silence", "act", "undo"]),
    incident_id=st.text(max_size=40),
    told=st.text(max_size=80),
    expires_at_us=st.integers(NOW_US + 1, NOW_US * 2),
    name=st.text(max_size=80),
)


@given(deeds)
def test_a_token_is_the_deed_it_was_made_of(deed: Deed) -> None:
    assert Signer(KEY).deed(Signer(KEY).token(deed), NOW_US) == deed


@given(deeds, st.data())
def test_a_token_with_any_other_character_is_refused(deed: Deed, data: st.DataObject) -> None:
    token = Signer(KEY).token(deed)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_.=+/é").filter(lambda one: one != token[place]))
    for changed in (token[:place] + other + token[place + 1 :], token[:place], token + other):
        with pytest.raises(LinkRefusedError):
            Signer(KEY).deed(changed, NOW_US)


@given(st.text(max_size=200))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(LinkRefusedError):
        Signer(KEY).deed(text, NOW_US)


def _payload_of_another_purpose(token: str) -> str:
    other = msgspec.json.encode(msgspec.structs.replace(DEED, purpose="act"))
    return base64.urlsafe_b64encode(other).rstrip(b"=").decode() + "." + token.partition(".")[2]


FORGED: dict[str, Any] = {
    "signed with another key": lambda _token: Signer(b"o" * 32).token(DEED),
    "for another purpose": _payload_of_another_purpose,
    "without a signature": lambda token: token.partition(".")[0],
    "with an empty signature": lambda token: token.partition(".")[0] + ".",
    "padded": lambda token: token + "=",
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_link_is_refused(how: str) -> None:
    with pytest.raises(LinkRefusedError):
        Signer(KEY).deed(FORGED[how](Signer(KEY).token(DEED)), NOW_US)


def test_a_link_ends_at_its_moment() -> None:
    token = Signer(KEY).token(DEED)
    assert Signer(KEY).deed(token, NOW_US) == DEED
    with pytest.raises(LinkOverError):
        Signer(KEY).deed(token, NOW_US + 1)


# ── which links a message has ──────────────────────────────────────────────────────────────────────────────


def links(message: Message, purposes: Sequence[Purpose] = ALL, url: str = "https://meter.example") -> list[Deed]:
    made = DeedLinks(lambda: Signer(KEY), purposes, lambda: url, HandClock(1_000), DAY_US)(message, NOTIFICATION)
    tokens = [parse_qs(urlsplit(one.url).query)["token"][0] for one in made]
    return [Signer(KEY).deed(token, HandClock(1_000).us) for token in tokens]


@pytest.mark.parametrize(
    ("changed", "purposes"),
    [
        ({}, ["acknowledge", "silence", "act"]),
        ({"event": "acknowledged"}, ["silence", "act"]),
        ({"labels": {"trouble": "job_failed"}}, ["acknowledge", "silence"]),
        ({"event": "resolved"}, []),
    ],
)
def test_a_message_has_links_for_what_can_be_done(changed: dict[str, Any], purposes: list[str]) -> None:
    assert [deed.purpose for deed in links(replace(OPENED, **changed))] == purposes


def test_links_are_those_the_configuration_allows_and_end_when_it_says() -> None:
    [deed] = links(OPENED, ["silence"])
    assert (deed.incident_id, deed.told, deed.expires_at_us) == (
        OPENED.dedup_key,
        NOTIFICATION,
        HandClock(1_000).us + DAY_US,
    )
    assert links(OPENED, []) == []
    assert links(OPENED, url="") == []


def test_a_message_that_is_sent_again_has_links_that_are_used_up_together() -> None:
    first, again = (links(OPENED)[0] for _ in range(2))
    assert first.key == msgspec.structs.replace(again, expires_at_us=again.expires_at_us + 5).key
    assert len({deed.key for deed in links(OPENED)}) == len(ALL)


def test_every_channel_that_shows_links_shows_these() -> None:
    url = "https://meter.example/alert?token=a.b"
    message = replace(OPENED, deeds=(DeedLink("Take it", url, "acknowledge", "a.b"),))
    shown = {
        "slack": str([block.to_dict() for block in blocks(message)]),
        "text": "\n".join(text_lines(message)),
        "html": html(message),
        "pagerduty": str(event(message)["links"]),
    }
    assert [place for place, told in shown.items() if url not in told] == []
