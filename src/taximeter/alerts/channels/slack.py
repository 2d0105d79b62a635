"""Slack, by an incoming webhook or by a bot (https://docs.slack.dev/reference/block-kit).

A webhook adds a message each time. A bot has one message for an incident, which always says how things stand, and tells
what changed in its thread, where its chart is too; what nobody may miss is shown in the channel as well.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal
from urllib.parse import parse_qs

from pydantic import Field, SecretStr, model_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.webhook import WebhookClient

from taximeter.alerts.channels.http import TIMEOUT_SECONDS, refused
from taximeter.alerts.channels.port import DeliveryError, Press
from taximeter.alerts.chart import Chart, png
from taximeter.alerts.links import LinkRefusedError
from taximeter.alerts.message import COLOURS, DeedLink, Message, minute_in_words
from taximeter.clock import Clock
from taximeter.config.alerting import Written

HEADER_CHARACTERS: Final = 150
SECTION_CHARACTERS: Final = 2900
"""Slack refuses a header over 150 characters and a section over 3,000."""

URL_CHARACTERS: Final = 3000
"""A button with a longer address is refused, and all of its message."""

SEEN_BY_ALL: Final = frozenset({"opened", "changed", "repeated", "escalated", "automated"})
"""What is told in the thread and in the channel too."""

FACTS: Final = 10
"""Fields of a section at the most."""

_log = logging.getLogger(__name__)

_PERMANENT: Final = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
    | {"channel_not_found", "not_in_channel", "is_archived", "no_permission", "restricted_action", "access_denied"}
    | {"invalid_blocks", "invalid_attachments", "invalid_arguments", "msg_too_long"}
)
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""A message that cannot be brought up to date: somebody deleted it, or the workspace does not allow it."""


class SlackSettings(Written):
    """Either `webhook_url`, or `bot_token` and `channel`."""

    kind: Literal["slack"]
    webhook_url: SecretStr | None = Field(default=None, description="An incoming webhook.")
    bot_token: SecretStr | None = Field(
        default=None, description="A bot's token, `xoxb-...`, with `chat:write`, and `files:write` for charts."
    )
    channel: str | None = Field(default=None, description="Where the bot writes, `#llm-spend` or an id.")
    signing_secret: SecretStr | None = Field(
        default=None,
        description="Of the bot's app: its buttons work within Slack then. Its request URL is "
        "`https://.../alert/pressed/NAME`, with the name of the channel here.",
    )
    api_url: str = Field(default="https://slack.com/api/", description="Slack's API.")

    @model_validator(mode="after")
    def _one_way(self) -> SlackSettings:
        bot = self.bot_token is not None and self.channel is not None
        if bot is (self.webhook_url is not None):
            raise ValueError("needs either webhook_url, or bot_token and channel")
        if self.signing_secret is not None and not bot:
            raise ValueError("signing_secret goes with bot_token")
        return self


class Slack:
    def __init__(self, settings: SlackSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def _has_buttons(self) -> bool:
        return self._settings.signing_secret is not None

    def deliver(self, message: Message, notification_id: str) -> str | None:
        if self._settings.webhook_url is None:
            return self._by_bot(message, notification_id)
        self._by_webhook(self._settings.webhook_url.get_secret_value(), message)
        return None

    def pressed(self, headers: Mapping[str, str], body: bytes) -> Press | None:
        secret = self._settings.signing_secret
        if secret is None or not _signed(secret.get_secret_value(), self._clock, headers, body):
            raise LinkRefusedError("this is not signed by Slack", hint="check signing_secret, and this machine's clock")
        return _press(body)

    def reply(self, press: Press, text: str) -> None:
        if press.reply_to:
            try:
                client = WebhookClient(press.reply_to, timeout=int(TIMEOUT_SECONDS))
                client.send(text=escaped(text), response_type="ephemeral", replace_original=False)
            except OSError as error:
                _log.warning("Slack: whoever pressed a button could not be told: %s", type(error).__name__)

    def _by_webhook(self, url: str, message: Message) -> None:
        client = WebhookClient(url, timeout=int(TIMEOUT_SECONDS))
        try:
            answer = client.send(text=message.first_line, attachments=attachments(message))
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from None
        if answer.status_code >= 300:
            raise refused(answer.status_code, _header(answer.headers, "retry-after"), answer.body, "Slack")

    def _by_bot(self, message: Message, notification_id: str) -> str | None:
        """The new message as `CHANNEL/TIMESTAMP`, None when there was one."""
        token, channel = self._settings.bot_token, self._settings.channel
        assert token is not None
        assert channel is not None
        client = WebClient(token.get_secret_value(), base_url=self._settings.api_url, timeout=int(TIMEOUT_SECONDS))
        try:
            shown = attachments(message, buttons=self._has_buttons)
            if message.thread is not None and _told_in_thread(client, message, shown):
                return None
            posted = client.chat_postMessage(
                channel=channel,
                text=message.first_line,
                attachments=shown,
                metadata={"event_type": "taximeter_alert", "event_payload": {"notification_id": notification_id}},
            )
        except SlackApiError as error:
            raise _failure(error) from None
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from None
        place, timestamp = str(posted.get("channel", channel)), str(posted.get("ts", ""))
        if message.chart is not None:
            _draw(client, message, message.chart, place, timestamp)
        return f"{place}/{timestamp}"


def _draw(client: WebClient, message: Message, chart: Chart, channel: str, timestamp: str) -> None:
    """The chart as a picture in the thread of its message. The message is there already, so nothing is tried again: its
    line of signs tells the same."""
    try:
        client.files_upload_v2(
            channel=channel,
            thread_ts=timestamp,
            filename="chart.png",
            title=chart.caption,
            alt_txt=chart.caption,
            content=png(chart, COLOURS[message.severity]),
        )
    except (SlackClientError, OSError) as error:
        _log.warning("Slack: the chart could not be shown (the scope files:write?): %s", error)


def _told_in_thread(client: WebClient, message: Message, shown: Sequence[BlockAttachment]) -> bool:
    """1. Bring the first message up to date: doing it again after a crash does no harm. 2. Say in its thread what is
    new. False when the first message is gone. Raises SlackApiError."""
    assert message.thread is not None
    channel, _, timestamp = message.thread.partition("/")
    try:
        client.chat_update(channel=channel, ts=timestamp, text=message.first_line, attachments=shown)
    except SlackApiError as error:
        if error.response.get("error") in _GONE:
            return False
        raise
    text = escaped(f"{message.first_line}\n{message.summary}" if message.open else message.first_line)
    broadcast = message.event in SEEN_BY_ALL
    client.chat_postMessage(channel=channel, thread_ts=timestamp, text=text, reply_broadcast=broadcast)
    return True


def _failure(error: SlackApiError) -> DeliveryError:
    code = str(error.response.get("error"))
    wait = _header(error.response.headers, "retry-after")
    return DeliveryError(
        f"Slack answered {code}",
        permanent=code in _PERMANENT,
        retry_after_seconds=float(wait) if wait and wait.isdecimal() else None,
    )


def _header(headers: object, name: str) -> str | None:
    found = {key.lower(): value for key, value in getattr(headers, "items", dict)()}.get(name)
    return found[0] if isinstance(found, list) else found


def attachments(message: Message, *, buttons: bool = False) -> list[BlockAttachment]:
    """One attachment, for the sake of its colour, with the blocks in it."""
    colour = COLOURS[message.severity if message.open else "resolved"]
    return [BlockAttachment(blocks=list(blocks(message, buttons=buttons)), color=colour, fallback=message.first_line)]


def blocks(message: Message, *, buttons: bool = False) -> Iterator[Block]:
    """What Slack shows, from the most important on. With `buttons` what can be done is done within Slack."""
    yield HeaderBlock(text=PlainTextObject(text=message.first_line[:HEADER_CHARACTERS]))
    if message.summary:
        yield _section(escaped(message.summary))
    if message.facts:
        yield SectionBlock(fields=[_field(name, value) for name, value in message.facts[:FACTS]])
    if message.chart is not None:
        yield _section(f"`{message.chart.line}`\n{escaped(message.chart.caption)}")
    if message.contributors:
        yield _section("*Who is behind it*\n" + _bullets(message.contributors))
    if message.evidence:
        yield _section(
            "*First steps, done already*\n" + _bullets([f"{name}: {told}" for name, told in message.evidence])
        )
    if message.action:
        yield _section(f"*Suggested:* {escaped(message.action)}")
    if actions := _actions(message, buttons=buttons):
        yield ActionsBlock(elements=actions)
    yield ContextBlock(elements=[MarkdownTextObject(text=escaped(_footer(message)))])


_ASKED: Final = {
    "acknowledge": "You take it: it is told again only if it gets graver, and nobody else is woken.",
    "silence": "Nobody is told of it for an hour. It is watched all the same.",
}
"""What takes no more than a press, and what Slack asks before; everything else needs the page behind its link."""


def _actions(message: Message, *, buttons: bool) -> list[ButtonElement]:
    pressed = [one for one in message.deeds if buttons and one.purpose in _ASKED]
    led_to = (*(one for one in message.deeds if one not in pressed), *message.links)
    links = [one for one in led_to if len(one.url) <= URL_CHARACTERS]
    return [
        *(_button(one) for one in pressed),
        *(ButtonElement(text=one.text, url=one.url, action_id=f"open-{number}") for number, one in enumerate(links)),
    ]


def _button(deed: DeedLink) -> ButtonElement:
    asked = ConfirmObject(title=deed.text, text=_ASKED[deed.purpose], confirm="Yes", deny="No")
    return ButtonElement(text=deed.text, action_id=deed.purpose, value=deed.token, confirm=asked)


def _press(body: bytes) -> Press | None:
    """What a request of Slack's interactivity says. Raises LinkRefusedError when it is none."""
    try:
        payload = json.loads(parse_qs(body.decode())["payload"][0])
        action, user = payload["actions"][0], payload["user"]
        value, name = action.get("value"), user.get("username") or user.get("name") or user["id"]
        reply_to = str(payload.get("response_url") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise LinkRefusedError("this is no press of a button", hint="see Slack's block_actions") from None
    return None if value is None else Press(str(value), str(name), reply_to)


def _signed(secret: str, clock: Clock, headers: Mapping[str, str], body: bytes) -> bool:
    """Slack's library raises for what Slack would not send, and for a secret that is none."""
    try:
        return SignatureVerifier(secret, _Now(clock)).is_valid_request(body, dict(headers))
    except (ValueError, TypeError):
        return False


class _Now(SignatureClock):
    """Our clock, as Slack's library asks for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now_us() / 1_000_000


def _section(text: str) -> SectionBlock:
    return SectionBlock(text=MarkdownTextObject(text=text[:SECTION_CHARACTERS]))


def _field(name: str, value: str) -> MarkdownTextObject:
    return MarkdownTextObject(text=f"*{escaped(name)}*\n{escaped(value)}"[:2000])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"• {escaped(line)}" for line in lines)


def _footer(message: Message) -> str:
    taken = f" · taken by {message.taken_by}" if message.taken_by else ""
    runbook = f" · runbook {message.runbook}" if message.runbook else ""
    return f"taximeter · {minute_in_words(message.at)}{taken}{runbook}"


def escaped(text: str) -> str:
    """Text that cannot become a mention or a link of Slack's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
