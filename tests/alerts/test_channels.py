"""Each channel says the same in its own form, and says what a refusal means."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from vendors import Vendor, certificate, free_port, vendor

from taximeter.alerts.channels.port import Channel, DeliveryError
from taximeter.alerts.channels.registry import open_channels
from taximeter.alerts.channels.slack import blocks
from taximeter.alerts.chart import Chart, png
from taximeter.alerts.message import Link, Message
from taximeter.clock import SystemClock

OPENED = Message(
    event="opened",
    dedup_key="01990000-0000-7000-8000-000000000001",
    severity="critical",
    kind="volume_spike",
    title="More calls than usual: feature chat, user u1, $12.40 an hour",
    summary="412 calls in 10 minutes, expected 120 (90% between 80 and 170) <from 6 Tuesdays>",
    started_at="2026-11-24T01:58:00.000000Z",
    at="2026-11-24T02:03:00.000000Z",
    labels={"feature": "chat", "user_id": "u1", "team": "core"},
    facts=[("Since", "2026-11-24T01:58Z"), ("So far", "$3.10 more than expected")],
    contributors=["user u1: 96% of the change, more requests"],
    evidence=[("Deployments", "checkout 4.2 at 01:50")],
    action="Limit user u1, or pause the key it uses.",
    runbook="volume-spike",
    links=[Link("Open the incident", "https://meter.example/alerts/1?a=1&b=2")],
)
RESOLVED = replace(OPENED, event="resolved")
NOTIFICATION = "01990000-0000-7000-8000-000000000001/all.1/slack/1"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


def channel(**settings: Any) -> Channel:
    channels, mistakes = open_channels({"it": settings}, SystemClock())
    assert mistakes == []
    return channels["it"]


# ── Slack ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_slack_blocks_are_valid_and_cannot_mention_anybody() -> None:
    drawn = list(blocks(replace(OPENED, summary="<!channel> & <@U1>")))
    for block in drawn:
        block.validate_json()
    assert "<!channel>" not in json.dumps([block.to_dict() for block in drawn])


def test_an_address_that_is_too_long_for_slack_is_left_out_and_the_rest_is_told() -> None:
    """Names of users come from the outside, and of one character of theirs an address has up to twelve."""
    link = Link("See the calls", "https://meter.example/?user_id=" + "%E7%94%A8" * 512)
    for links, shown in (([*OPENED.links, link], ["Open the incident"]), ([link], [])):
        with vendor() as slack:
            channel(kind="slack", webhook_url=slack.url).deliver(replace(OPENED, links=links), NOTIFICATION)
        told = slack.bodies[0]["attachments"][0]["blocks"]
        buttons = [one["text"]["text"] for block in told if block["type"] == "actions" for one in block["elements"]]
        assert buttons == shown


def test_slack_by_webhook_has_the_whole_story_in_its_first_line_and_a_colour() -> None:
    with vendor() as slack:
        channel(kind="slack", webhook_url=f"{slack.url}/services/T/B/x").deliver(OPENED, NOTIFICATION)
        channel(kind="slack", webhook_url=f"{slack.url}/services/T/B/x").deliver(RESOLVED, NOTIFICATION)
    first, last = slack.bodies
    assert first["text"] == "CRITICAL More calls than usual: feature chat, user u1, $12.40 an hour"
    assert last["text"].startswith("Over: ")
    assert (first["attachments"][0]["color"], last["attachments"][0]["color"]) == ("#d7263d", "#2e9e5b")


JSON = {"content-type": "application/json"}
POSTED = (200, JSON, b'{"ok": true, "channel": "C1", "ts": "1.2"}')


def bot(slack: Vendor) -> Channel:
    return channel(kind="slack", bot_token="xoxb-1", channel="#spend", api_url=f"{slack.url}/api/")


def test_slack_by_bot_writes_into_its_channel() -> None:
    with vendor(POSTED) as slack:
        assert bot(slack).deliver(OPENED, NOTIFICATION) == "C1/1.2"
    path, headers, body = slack.taken[0]
    assert (path, headers["authorization"], json.loads(body)["channel"]) == (
        "/api/chat.postMessage",
        "Bearer xoxb-1",
        "#spend",
    )


BROADCAST = {"opened": True, "changed": True, "repeated": True, "escalated": True, "acknowledged": False}


@pytest.mark.parametrize(("event", "seen_by_all"), [*BROADCAST.items(), ("resolved", False)])
def test_slack_by_bot_brings_its_first_message_up_to_date_and_says_what_is_new_in_its_thread(
    event: Any, seen_by_all: bool
) -> None:
    with vendor(POSTED) as slack:
        assert bot(slack).deliver(replace(OPENED, event=event, thread="C1/1.2"), NOTIFICATION) is None
    assert [path for path, _headers, _body in slack.taken] == ["/api/chat.update", "/api/chat.postMessage"]
    update, reply = slack.bodies
    line = replace(OPENED, event=event).first_line
    assert (update["channel"], update["ts"], update["text"]) == ("C1", "1.2", line)
    assert (reply["channel"], reply["thread_ts"], reply["reply_broadcast"]) == ("C1", "1.2", seen_by_all)
    assert reply["text"].startswith(line)


CHART = Chart("calls in 5 minutes, the last 3 hours; at most 8", (1.0, 2.0, 8.0), 2)


def files_api(url: str) -> list[tuple[int, dict[str, str], bytes]]:
    """What Slack answers to a message and to the three requests of an upload."""
    place = json.dumps({"ok": True, "file_id": "F1", "upload_url": f"{url}/upload/v1/secret"}).encode()
    return [POSTED, (200, JSON, place), (200, {}, b"OK - 1"), (200, JSON, b'{"ok": true, "files": [{"id": "F1"}]}')]


def test_slack_by_bot_shows_the_chart_as_a_picture_in_the_thread() -> None:
    with vendor() as slack:
        slack.answers = files_api(slack.url)
        assert bot(slack).deliver(replace(OPENED, chart=CHART), NOTIFICATION) == "C1/1.2"
    assert [path for path, _headers, _body in slack.taken] == [
        "/api/chat.postMessage",
        "/api/files.getUploadURLExternal",
        "/upload/v1/secret",
        "/api/files.completeUploadExternal",
    ]
    asked, picture, done = (body for _path, _headers, body in slack.taken[1:])
    wanted, finished = (parse_qs(body.decode()) for body in (asked, done))
    assert picture == png(CHART, "#d7263d")
    assert (wanted["filename"], wanted["length"]) == (["chart.png"], [str(len(picture))])
    assert (finished["channel_id"], finished["thread_ts"]) == (["C1"], ["1.2"])
    assert json.loads(finished["files"][0]) == [{"id": "F1", "title": CHART.caption}]


REFUSED_UPLOADS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "the bot may not": (200, JSON, b'{"ok": false, "error": "missing_scope"}'),
    "Slack has a fault": (500, {}, b"no"),
}


@pytest.mark.parametrize("how", REFUSED_UPLOADS)
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_message_is_told_once_also_when_its_chart_cannot_be_shown(how: str, step: int) -> None:
    with vendor() as slack:
        slack.answers = [*files_api(slack.url)[:step], REFUSED_UPLOADS[how]]
        assert bot(slack).deliver(replace(OPENED, chart=CHART), NOTIFICATION) == "C1/1.2"
    assert sum(path == "/api/chat.postMessage" for path, _headers, _body in slack.taken) == 1


def test_slack_by_bot_begins_anew_when_somebody_deleted_its_message() -> None:
    gone = (200, JSON, b'{"ok": false, "error": "message_not_found"}')
    with vendor(gone, POSTED) as slack:
        assert bot(slack).deliver(replace(RESOLVED, thread="C1/0.9"), NOTIFICATION) == "C1/1.2"
    assert [path for path, _headers, _body in slack.taken] == ["/api/chat.update", "/api/chat.postMessage"]
    assert "thread_ts" not in slack.bodies[1]


# ── PagerDuty ──────────────────────────────────────────────────────────────────────────────────────────────

ACCEPTED = (202, {"content-type": "application/json"}, json.dumps({"status": "success", "dedup_key": "k"}).encode())


@pytest.mark.parametrize(
    ("event", "action"),
    [
        ("opened", "trigger"),
        ("changed", "trigger"),
        ("escalated", "trigger"),
        ("acknowledged", "acknowledge"),
        ("resolved", "resolve"),
    ],
)
def test_pagerduty_knows_an_incident_by_one_key_from_trigger_to_resolve(
    event: Any, action: str, tls: tuple[Path, Path]
) -> None:
    with vendor(ACCEPTED, tls=tls) as pagerduty:
        pager = channel(kind="pagerduty", routing_key="r" * 32, api_url=pagerduty.url, ca_file=str(tls[1]))
        pager.deliver(replace(OPENED, event=event), NOTIFICATION)
    (body,) = pagerduty.bodies
    assert (body["event_action"], body["dedup_key"], body["routing_key"]) == (action, OPENED.dedup_key, "r" * 32)
    assert body["payload"]["severity"] == "critical"
    assert body["payload"]["custom_details"]["contributors"] == list(OPENED.contributors)


# ── Datadog ────────────────────────────────────────────────────────────────────────────────────────────────

LONG = replace(OPENED, title="t" * 900, contributors=["user u1: 96% of the change"] * 500)


@pytest.mark.parametrize(
    ("message", "shown_as"),
    [
        (OPENED, "error"),
        (replace(OPENED, severity="warning", event="escalated"), "warning"),
        (replace(OPENED, event="resolved"), "success"),
        (LONG, "error"),
    ],
)
def test_datadog_has_all_that_is_told_of_an_incident_together_and_never_more_than_it_takes(
    message: Message, shown_as: str
) -> None:
    with vendor((202, {}, b'{"status":"ok"}')) as datadog:
        told = channel(kind="datadog", api_key="secret", url=f"{datadog.url}/", tags={"service": "shop"})
        told.deliver(message, NOTIFICATION)
    [(path, headers, _)], [body] = datadog.taken, datadog.bodies
    assert (path, headers["dd-api-key"]) == ("/api/v1/events", "secret")
    assert (body["alert_type"], body["aggregation_key"]) == (shown_as, OPENED.dedup_key)
    assert body["title"] == message.first_line[:500]
    assert len(body["text"]) <= 4000
    assert body["text"].startswith("%%% \n")
    assert body["text"].endswith("\n %%%")
    assert "user u1: 96% of the change" in body["text"]
    assert OPENED.links[0].url in body["text"]
    assert {"source:taximeter", "service:shop", f"kind:{OPENED.kind}"} <= set(body["tags"])
    assert {f"{name}:{value}" for name, value in OPENED.labels.items()} <= set(body["tags"])


# ── webhooks and Alertmanager ──────────────────────────────────────────────────────────────────────────────


def test_a_webhook_is_signed_over_its_time_and_body() -> None:
    with vendor() as receiver:
        channel(kind="webhook", url=f"{receiver.url}/hook?x=1", secret="s3cret").deliver(OPENED, NOTIFICATION)
    path, headers, body = receiver.taken[0]
    told = dict(part.split("=", 1) for part in headers["x-taximeter-signature"].split(","))
    expected = hmac.new(b"s3cret", told["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (path, told["v1"], headers["idempotency-key"]) == ("/hook?x=1", expected, NOTIFICATION)
    assert json.loads(body)["first_line"] == OPENED.first_line


def test_alertmanager_gets_the_same_labels_from_start_to_end() -> None:
    with vendor() as manager:
        channel(kind="alertmanager", url=manager.url).deliver(OPENED, NOTIFICATION)
        channel(kind="alertmanager", url=manager.url).deliver(replace(RESOLVED, severity="warning"), NOTIFICATION)
    (first,), (last,) = manager.bodies
    assert first["labels"] == last["labels"]
    assert last["endsAt"] == "2026-11-24T02:03:00+00:00"
    assert first["endsAt"] > last["endsAt"]


# ── mail ───────────────────────────────────────────────────────────────────────────────────────────────────


class Mailbox:
    """An SMTP server's handler that keeps mails, or answers what it is told to."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer = answer
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return self.answer


def mail_settings(controller: Controller, *to: str) -> dict[str, Any]:
    return {
        "kind": "email",
        "host": "127.0.0.1",
        "port": controller.port,
        "security": "none",
        "from": "m@a.example",
        "to": list(to) or ["o@a.example"],
    }


class Doorkeeper(Mailbox):
    """A mail server that answers addresses as it is told to, in turn, and says farewell in its own way."""

    def __init__(self, told: dict[str, list[str]], farewell: str = "221 Bye") -> None:
        super().__init__()
        self.told, self.farewell = told, farewell
        self.reached: list[list[str]] = []

    async def handle_RCPT(  # noqa: N802 - its name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answers = self.told.get(address, [])
        answer = answers.pop(0) if answers else "250 OK"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        self.reached.append([str(one) for one in envelope.rcpt_tos])
        return await super().handle_DATA(server, session, envelope)

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802 - its name
        return self.farewell


@contextmanager
def doorkeeper(told: dict[str, list[str]], farewell: str = "221 Bye") -> Iterator[tuple[Doorkeeper, Controller]]:
    keeper = Doorkeeper(told, farewell)
    controller = Controller(keeper, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield keeper, controller
    finally:
        controller.stop()


LATER, NEVER = "450 4.2.0 greylisted, try again", "550 5.1.1 no such user"


def test_a_mail_server_that_takes_an_address_only_the_second_time_gets_it_a_second_time() -> None:
    with doorkeeper({"o@a.example": [LATER]}) as (keeper, controller):
        mail = channel(**mail_settings(controller))
        with pytest.raises(DeliveryError, match=r"o@a\.example") as failed:
            mail.deliver(OPENED, NOTIFICATION)
        assert not failed.value.permanent
        mail.deliver(OPENED, NOTIFICATION)
        assert keeper.reached == [["o@a.example"]]


@pytest.mark.parametrize(("answer", "permanent"), [(LATER, False), (NEVER, True)])
def test_that_one_of_two_addresses_is_refused_is_told_and_the_other_has_its_mail_once(
    answer: str, permanent: bool
) -> None:
    with doorkeeper({"p@a.example": [answer, answer]}) as (keeper, controller):
        mail = channel(**mail_settings(controller, "o@a.example", "p@a.example"))
        for _ in range(2):
            with pytest.raises(DeliveryError, match=r"refused p@a\.example") as failed:
                mail.deliver(OPENED, NOTIFICATION)
            assert failed.value.permanent is permanent
        assert keeper.reached == [["o@a.example"]]
        mail.deliver(OPENED, NOTIFICATION)
        assert keeper.reached == [["o@a.example"], ["p@a.example"]]
        mail.deliver(OPENED, NOTIFICATION + "0")
        assert keeper.reached[2:] == [["o@a.example", "p@a.example"]], "the next one goes to both again"


def test_a_mail_that_was_taken_is_delivered_however_its_server_says_farewell() -> None:
    with doorkeeper({}, "421 closing") as (keeper, controller):
        channel(**mail_settings(controller)).deliver(OPENED, NOTIFICATION)
        assert len(keeper.mails) == 1


def test_a_mail_server_without_what_the_settings_ask_for_will_never_do() -> None:
    with doorkeeper({}) as (_keeper, controller):
        settings = {**mail_settings(controller), "security": "starttls"}
        with pytest.raises(DeliveryError, match="STARTTLS") as failed:
            channel(**settings).deliver(OPENED, NOTIFICATION)
    assert failed.value.permanent


def test_mail_has_text_and_html_and_one_conversation_an_incident() -> None:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        mails = channel(**mail_settings(controller))
        mails.deliver(OPENED, NOTIFICATION)
        mails.deliver(RESOLVED, NOTIFICATION.replace("/1", "/2"))
    finally:
        controller.stop()
    first, last = (message_from_bytes(mail, policy=policy.default) for mail in mailbox.mails)
    assert first["Subject"] == OPENED.first_line
    assert first["References"] == last["References"]
    assert first["Message-ID"] != last["Message-ID"]
    text, html = (part.get_content() for kind in ("plain", "html") if (part := first.get_body([kind])) is not None)
    assert "user u1: 96% of the change" in text
    assert "&lt;from 6 Tuesdays&gt;" in html


# ── what a refusal means ───────────────────────────────────────────────────────────────────────────────────

REFUSALS: dict[str, tuple[tuple[int, dict[str, str], bytes], bool, float | None]] = {
    "too many requests": ((429, {"retry-after": "30"}, b"slow down"), False, 30.0),
    "a fault of theirs": ((503, {}, b"maintenance"), False, None),
    "a channel that is gone": ((404, {}, b"no_service"), True, None),
    "a wrong key": ((403, {}, b"invalid_token"), True, None),
}
CHANNELS: dict[str, Any] = {
    "slack": lambda url, _ca: {"kind": "slack", "webhook_url": f"{url}/services/secret"},
    "pagerduty": lambda url, ca: {"kind": "pagerduty", "routing_key": "secret", "api_url": url, "ca_file": ca},
    "datadog": lambda url, _ca: {"kind": "datadog", "api_key": "secret", "url": url},
    "webhook": lambda url, _ca: {"kind": "webhook", "url": f"{url}/secret"},
    "alertmanager": lambda url, _ca: {"kind": "alertmanager", "url": url},
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("kind", CHANNELS)
def test_a_refusal_says_whether_and_when_to_try_again_and_shows_no_secret(
    kind: str, refusal: str, tls: tuple[Path, Path]
) -> None:
    answer, permanent, wait = REFUSALS[refusal]
    secured = tls if kind == "pagerduty" else None
    with vendor(answer, tls=secured) as service, pytest.raises(DeliveryError) as failed:
        channel(**CHANNELS[kind](service.url, str(tls[1]))).deliver(OPENED, NOTIFICATION)
    assert (failed.value.permanent, failed.value.retry_after_seconds) == (permanent, wait)
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_service_that_is_not_there_is_tried_again(kind: str, tls: tuple[Path, Path]) -> None:
    scheme = "https" if kind == "pagerduty" else "http"
    with pytest.raises(DeliveryError) as failed:
        channel(**CHANNELS[kind](f"{scheme}://127.0.0.1:{free_port()}", str(tls[1]))).deliver(OPENED, NOTIFICATION)
    assert not failed.value.permanent
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(("answer", "permanent"), [("451 later", False), ("554 never", True)])
def test_a_mail_server_says_whether_to_try_again(answer: str, permanent: bool) -> None:
    controller = Controller(Mailbox(answer), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        with pytest.raises(DeliveryError) as failed:
            channel(**mail_settings(controller)).deliver(OPENED, NOTIFICATION)
    finally:
        controller.stop()
    assert failed.value.permanent is permanent


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no kind": ({}, "alerts.channels.it"),
    "an unknown kind": ({"kind": "pigeon"}, "alerts.channels.it"),
    "two ways to Slack": (
        {"kind": "slack", "webhook_url": "https://a", "bot_token": "b", "channel": "c"},
        "alerts.channels.it",
    ),
    "a misspelt setting": ({"kind": "webhook", "url": "https://a", "sceret": "b"}, "alerts.channels.it.sceret"),
    "a missing setting": ({"kind": "pagerduty"}, "alerts.channels.it.routing_key"),
    "an address Apprise does not know": ({"kind": "apprise", "url": "nothing://x"}, "alerts.channels.it"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_channel_is_a_mistake_by_its_place(name: str) -> None:
    settings, place = BAD[name]
    _channels, mistakes = open_channels({"it": settings}, SystemClock())
    assert [mistake.where for mistake in mistakes] == [place]
