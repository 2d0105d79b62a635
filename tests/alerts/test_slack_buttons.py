"""Buttons within Slack: what they carry, and that a press is believed only when Slack signed it, and lately."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from night import HandClock
from test_channels import OPENED
from vendors import free_port

from taximeter.alerts.channels.port import Press, Pressable
from taximeter.alerts.channels.registry import open_channels
from taximeter.alerts.channels.slack import blocks
from taximeter.alerts.links import TEXTS, LinkRefusedError
from taximeter.alerts.message import DeedLink

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
CLOCK = HandClock(29_800_800)
NOW = CLOCK.us // 1_000_000
DEEDS = tuple(
    DeedLink(TEXTS[purpose], f"https://meter.example/alert?token={purpose}", purpose, f"token-{purpose}")
    for purpose in ("acknowledge", "silence", "act")
)


def slack(**more: Any) -> Pressable:
    settings = {"kind": "slack", "bot_token": "xoxb-1", "channel": "#spend", "signing_secret": SECRET, **more}
    channels, mistakes = open_channels({"it": {name: v for name, v in settings.items() if v}}, CLOCK)
    assert mistakes == []
    channel = channels["it"]
    assert isinstance(channel, Pressable)
    return channel


def payload(**changed: Any) -> bytes:
    told = {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ann", "name": "ann"},
        "actions": [{"action_id": "acknowledge", "type": "button", "value": "a.b"}],
        **changed,
    }
    return urlencode({"payload": json.dumps(told)}).encode()


def headers(body: bytes, at: int = NOW, secret: str = SECRET) -> dict[str, str]:
    """As https://docs.slack.dev/authentication/verifying-requests-from-slack says them."""
    signed = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": str(at), "x-slack-signature": f"v0={signed}"}


def test_what_takes_one_press_is_a_button_with_a_question_and_the_rest_stays_a_link() -> None:
    message = replace(OPENED, deeds=DEEDS)
    drawn = list(blocks(message, buttons=True))
    for block in drawn:
        block.validate_json()
    (actions,) = [block.to_dict() for block in drawn if block.type == "actions"]
    buttons = {one["action_id"]: one for one in actions["elements"]}
    assert (buttons["acknowledge"]["value"], buttons["silence"]["value"]) == ("token-acknowledge", "token-silence")
    assert all(
        "confirm" in buttons[purpose] and "url" not in buttons[purpose] for purpose in ("acknowledge", "silence")
    )
    assert buttons["open-0"]["url"].endswith("token=act")
    plain = str([block.to_dict() for block in blocks(message)])
    assert all(f"token={purpose}" in plain for purpose in ("acknowledge", "silence", "act"))


def test_a_press_that_slack_signed_is_believed() -> None:
    body = payload()
    assert slack().pressed(headers(body), body) == Press("a.b", "ann")


def test_a_press_says_where_whoever_pressed_can_be_told_something() -> None:
    body = payload(response_url="https://hooks.slack.com/actions/T/1/x")
    assert slack().pressed(headers(body), body) == Press("a.b", "ann", "https://hooks.slack.com/actions/T/1/x")


def test_what_cannot_be_told_to_whoever_pressed_is_let_be() -> None:
    slack().reply(Press("a.b", "ann", f"http://127.0.0.1:{free_port()}"), "Nothing was done.")
    slack().reply(Press("a.b", "ann"), "Nothing was done.")


def test_a_link_that_was_opened_is_no_press() -> None:
    body = payload(actions=[{"action_id": "open-0", "type": "button"}])
    assert slack().pressed(headers(body), body) is None


BODY = payload()
FORGED: dict[str, tuple[dict[str, str], bytes]] = {
    "without a signature": ({}, BODY),
    "with another secret": (headers(BODY, secret="other"), BODY),
    "of another body": (headers(BODY), payload(user={"id": "U2", "username": "eve"})),
    "six minutes old": (headers(BODY, at=NOW - 360), BODY),
    "at another time than was signed": ({**headers(BODY), "x-slack-request-timestamp": str(NOW + 1)}, BODY),
    "at no time": ({**headers(BODY), "x-slack-request-timestamp": "soon"}, BODY),
    "with signs that no signature has": ({**headers(BODY), "x-slack-signature": "v0=é"}, BODY),
    "that is no press": (headers(b"payload=%7B%7D"), b"payload=%7B%7D"),
    "that is no form": (headers(b"\xff\xfe"), b"\xff\xfe"),
    "without a payload": (headers(b"x=1"), b"x=1"),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_request_is_refused(how: str) -> None:
    told, body = FORGED[how]
    with pytest.raises(LinkRefusedError):
        slack().pressed(told, body)


def test_without_a_signing_secret_no_press_is_believed() -> None:
    with pytest.raises(LinkRefusedError):
        slack(signing_secret=None).pressed(headers(BODY, secret=""), BODY)


def test_a_signing_secret_goes_with_a_bot() -> None:
    wrong = {"kind": "slack", "webhook_url": "https://hooks.example", "signing_secret": SECRET}
    _channels, mistakes = open_channels({"it": wrong}, CLOCK)
    assert [one.where for one in mistakes] == ["alerts.channels.it"]
