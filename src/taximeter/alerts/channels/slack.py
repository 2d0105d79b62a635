"""Slack, by an incoming webhook or by a bot (https://docs.slack.dev/reference/block-kit). Each adds a message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import Field, SecretStr, model_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    PlainTextObject,
    SectionBlock,
)
from slack_sdk.webhook import WebhookClient

from taximeter.alerts.channels.http import TIMEOUT_SECONDS, refused
from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.message import COLOURS, Message
from taximeter.config.alerting import Written

HEADER_CHARACTERS: Final = 150
SECTION_CHARACTERS: Final = 2900
"""Slack refuses a header over 150 characters and a section over 3,000."""

FACTS: Final = 10
"""Fields of a section at the most."""

_PERMANENT: Final = frozenset(
    {"invalid_auth", "account_inactive", "token_revoked", "channel_not_found", "not_in_channel", "is_archived"}
)


class SlackSettings(Written):
    """Either `webhook_url`, or `bot_token` and `channel`."""

    kind: Literal["slack"]
    webhook_url: SecretStr | None = Field(default=None, description="An incoming webhook.")
    bot_token: SecretStr | None = Field(default=None, description="A bot's token, `xoxb-...`, with `chat:write`.")
    channel: str | None = Field(default=None, description="Where the bot writes, `#llm-spend` or an id.")
    api_url: str = Field(default="https://slack.com/api/", description="Slack's API.")

    @model_validator(mode="after")
    def _one_way(self) -> SlackSettings:
        bot = self.bot_token is not None and self.channel is not None
        if bot is (self.webhook_url is not None):
            raise ValueError("needs either webhook_url, or bot_token and channel")
        return self


class Slack:
    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings

    def deliver(self, message: Message, notification_id: str) -> None:
        if self._settings.webhook_url is not None:
            self._by_webhook(self._settings.webhook_url.get_secret_value(), message)
        else:
            self._by_bot(message, notification_id)

    def _by_webhook(self, url: str, message: Message) -> None:
        client = WebhookClient(url, timeout=int(TIMEOUT_SECONDS))
        try:
            answer = client.send(text=message.first_line, attachments=attachments(message))
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from None
        if answer.status_code >= 300:
            raise refused(answer.status_code, _header(answer.headers, "retry-after"), answer.body, "Slack")

    def _by_bot(self, message: Message, notification_id: str) -> None:
        token, channel = self._settings.bot_token, self._settings.channel
        assert token is not None
        assert channel is not None
        client = WebClient(token.get_secret_value(), base_url=self._settings.api_url, timeout=int(TIMEOUT_SECONDS))
        try:
            client.chat_postMessage(
                channel=channel,
                text=message.first_line,
                attachments=attachments(message),
                metadata={"event_type": "taximeter_alert", "event_payload": {"notification_id": notification_id}},
            )
        except SlackApiError as error:
            code = str(error.response.get("error"))
            wait = _header(error.response.headers, "retry-after")
            raise DeliveryError(
                f"Slack answered {code}",
                permanent=code in _PERMANENT,
                retry_after_seconds=float(wait) if wait and wait.isdecimal() else None,
            ) from None
        except OSError as error:
            raise DeliveryError(f"Slack does not answer: {type(error).__name__}") from None


def _header(headers: object, name: str) -> str | None:
    found = {key.lower(): value for key, value in getattr(headers, "items", dict)()}.get(name)
    return found[0] if isinstance(found, list) else found


def attachments(message: Message) -> list[BlockAttachment]:
    """One attachment, for the sake of its colour, with the blocks in it."""
    colour = COLOURS[message.severity if message.open else "resolved"]
    return [BlockAttachment(blocks=list(blocks(message)), color=colour, fallback=message.first_line)]


def blocks(message: Message) -> Iterator[Block]:
    """What Slack shows, from the most important on."""
    yield HeaderBlock(text=PlainTextObject(text=message.first_line[:HEADER_CHARACTERS]))
    if message.summary:
        yield _section(escaped(message.summary))
    if message.facts:
        yield SectionBlock(fields=[_field(name, value) for name, value in message.facts[:FACTS]])
    if message.contributors:
        yield _section("*Who is behind it*\n" + _bullets(message.contributors))
    if message.evidence:
        yield _section(
            "*First steps, done already*\n" + _bullets([f"{name}: {told}" for name, told in message.evidence])
        )
    if message.action:
        yield _section(f"*Suggested:* {escaped(message.action)}")
    if message.links or message.deeds:
        yield ActionsBlock(
            elements=[
                ButtonElement(text=one.text, url=one.url, action_id=f"open-{number}")
                for number, one in enumerate((*message.deeds, *message.links))
            ]
        )
    yield ContextBlock(elements=[MarkdownTextObject(text=escaped(_footer(message)))])


def _section(text: str) -> SectionBlock:
    return SectionBlock(text=MarkdownTextObject(text=text[:SECTION_CHARACTERS]))


def _field(name: str, value: str) -> MarkdownTextObject:
    return MarkdownTextObject(text=f"*{escaped(name)}*\n{escaped(value)}"[:2000])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"• {escaped(line)}" for line in lines)


def _footer(message: Message) -> str:
    taken = f" · taken by {message.taken_by}" if message.taken_by else ""
    runbook = f" · runbook {message.runbook}" if message.runbook else ""
    return f"taximeter · {message.at}{taken}{runbook}"


def escaped(text: str) -> str:
    """Text that cannot become a mention or a link of Slack's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
