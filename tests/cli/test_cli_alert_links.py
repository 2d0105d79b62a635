"""The links of a message on a running server: looking does nothing, the button does it once."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from running_server import Server, eventually, running
from test_cli_alerts_server import CONFIGURATION, admin, call, may_call, post

sys.path.append(str(Path(__file__).parents[1] / "alerts"))
from vendors import Vendor, vendor  # type: ignore[import-not-found]

SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
SLACK = f'{{kind: slack, bot_token: xoxb-1, channel: "#spend", signing_secret: {SIGNING_SECRET}}}'


@pytest.fixture(scope="module")
def receiver() -> Iterator[Vendor]:
    with vendor() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Vendor) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("links")
    config = folder / "taximeter.yaml"
    written = CONFIGURATION % {"url": receiver.url}
    config.write_text(written.replace("  channels:\n", f"  channels:\n    chat: {SLACK}\n"))
    with running(folder / "data", "--config", str(config)) as opened:
        yield opened


@pytest.fixture
def stranger(server: Server) -> Iterator[httpx.Client]:
    """Somebody who has nothing but the message."""
    with httpx.Client(timeout=60) as client:
        yield client


def told_of(server: Server, receiver: Vendor, feature: str) -> dict[str, Any]:
    """The message about a feature of this test's own that spends too much."""
    post(server, call(sum(feature.encode()), feature))

    def opened() -> list[dict[str, Any]]:
        return [one for one in receiver.bodies if one["event"] == "opened" and one["labels"] == {"feature": feature}]

    eventually(opened)
    message: dict[str, Any] = opened()[0]
    return message


def link(message: dict[str, Any], text: str) -> str:
    return next(str(one["url"]) for one in message["deeds"] if one["text"] == text)


def pressed(client: httpx.Client, page: httpx.Response, **fields: str) -> httpx.Response:
    """Press the button of a page."""
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    action = re.search(r'<form action="([^"]+)" method="post">', page.text)
    assert token is not None
    assert action is not None
    return client.post(str(page.url.join(action[1])), data={"token": unescape(token[1]), **fields})


def incident(server: Server, message: dict[str, Any]) -> dict[str, Any]:
    with admin(server) as client:
        page = client.get(f"/api/v1/alerts/{message['dedup_key']}").json()
    found: dict[str, Any] = page["incident"]
    return found


def test_opening_a_link_does_nothing_and_its_button_takes_the_incident_once(
    server: Server, receiver: Vendor, stranger: httpx.Client
) -> None:
    message = told_of(server, receiver, "chat")
    url = link(message, "Take it")
    assert url.startswith(server.url)
    for _ in range(3):
        page = stranger.get(url)
        assert stranger.head(url).status_code == page.status_code == 200
    assert "CRITICAL A bound is crossed: feature chat" in unescape(page.text)
    assert page.headers["cache-control"] == "no-store"
    assert incident(server, message)["acknowledged_by"] is None

    done = pressed(stranger, page, by="Ann <b>")
    assert done.status_code == 200
    assert "Ann <b>" not in done.text, "what is typed is escaped"
    assert incident(server, message)["acknowledged_by"] == "Ann <b>, by a link to hook"

    assert stranger.get(url).status_code == 410
    assert pressed(stranger, page, by="Bert").status_code == 410
    assert incident(server, message)["acknowledged_by"] == "Ann <b>, by a link to hook"


def test_whom_an_incident_is_about_is_paused_by_a_link_and_let_go_by_the_next_button(
    server: Server, receiver: Vendor, stranger: httpx.Client
) -> None:
    message = told_of(server, receiver, "search")
    page = stranger.get(link(message, "Limit or pause"))
    assert "feature search" in page.text
    assert pressed(stranger, page, kind="limit").status_code == 422, "an amount is missing"
    assert pressed(stranger, page, kind="forget").status_code == 422
    assert may_call(server, "search")

    done = pressed(stranger, page, kind="pause", by="Ann")
    assert done.status_code == 200, "what did nothing did not use the link up"
    eventually(lambda: not may_call(server, "search"))
    assert pressed(stranger, page, kind="pause").status_code == 410
    with admin(server) as client:
        (action,) = client.get(f"/api/v1/alerts/{message['dedup_key']}/actions").json()["actions"]
    assert action["changed_by"] == "Ann, by a link to hook"

    assert pressed(stranger, done).status_code == 200
    eventually(lambda: may_call(server, "search"))
    assert pressed(stranger, done).status_code == 410


def test_a_link_silences_what_its_incident_is_about(server: Server, receiver: Vendor, stranger: httpx.Client) -> None:
    message = told_of(server, receiver, "docs")
    page = stranger.get(link(message, "Silence"))
    assert pressed(stranger, page, **{"for": "for ever"}).status_code == 422
    assert pressed(stranger, page, **{"for": "4 hours"}).status_code == 200
    with admin(server) as client:
        (silence,) = client.get("/api/v1/silences").json()["silences"]
    assert (silence["match"], silence["author"]) == ({"feature": "docs"}, "somebody, by a link to hook")


def slack_says(
    server: Server, client: httpx.Client, message: dict[str, Any], secret: str, **more: str
) -> httpx.Response:
    """A press of a button within Slack, as Slack tells of it."""
    token = next(one["token"] for one in message["deeds"] if one["purpose"] == "acknowledge")
    told = {"type": "block_actions", "user": {"id": "U1", "username": "ann"}, "actions": [{"value": token}], **more}
    body, at = urlencode({"payload": json.dumps(told)}).encode(), str(int(time.time()))
    signed = hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={signed}"}
    return client.post(f"{server.url}/alert/pressed/chat", content=body, headers=headers)


def test_a_button_pressed_within_slack_takes_the_incident_and_whoever_is_too_late_is_told_who_was_faster(
    server: Server, receiver: Vendor, stranger: httpx.Client
) -> None:
    message = told_of(server, receiver, "code")
    assert slack_says(server, stranger, message, SIGNING_SECRET).status_code == 200
    assert incident(server, message)["acknowledged_by"] == "ann, by a link to hook"
    assert slack_says(server, stranger, message, SIGNING_SECRET).status_code == 410
    with vendor() as slack:
        assert slack_says(server, stranger, message, SIGNING_SECRET, response_url=slack.url).status_code == 200
    (told,) = slack.bodies
    assert (told["response_type"], told["replace_original"]) == ("ephemeral", False)
    assert told["text"] == (
        "Nothing was done: this link was used already (sign in, or use the newest message). "
        "The incident is taken by ann, by a link to hook."
    )


def test_without_the_right_token_nothing_is_shown_or_done(
    server: Server, receiver: Vendor, stranger: httpx.Client
) -> None:
    message = told_of(server, receiver, "mail")
    url = link(message, "Take it")
    for wrong in (url[:-1], url + "x", f"{server.url}/alert", f"{server.url}/alert?token=a.b"):
        answer = stranger.get(wrong)
        assert answer.status_code == 403
        assert "mail" not in answer.text
        assert stranger.post(wrong).status_code == 403, "a token in the address is not one of the form"
    assert stranger.post(f"{server.url}/alert", data={"token": "a.b"}).status_code == 403
    assert stranger.post(f"{server.url}/alert", content=b"x" * 100_000).status_code == 413
    assert stranger.put(f"{server.url}/alert").status_code == 405
    assert stranger.get(f"{server.url}/alert/more").status_code == 404
    assert stranger.post(f"{server.url}/alert/pressed/hook", content=b"payload=x").status_code == 404
    assert slack_says(server, stranger, message, "wrong secret").status_code == 403
    assert incident(server, message)["acknowledged_by"] is None
