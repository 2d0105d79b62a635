"""Mail by SMTP, as text and HTML. All mails of an incident are one conversation (`References`)."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Final, Literal

from pydantic import Field, SecretStr

from taximeter.alerts.channels.http import TIMEOUT_SECONDS
from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.chart import png
from taximeter.alerts.message import COLOURS, Message
from taximeter.config.alerting import Written

SUBJECT_CHARACTERS: Final = 200
NEVER: Final = 500
"""From this answer on a mail server will not take it later either (RFC 5321, 4.2.1)."""

MOST_LEFT: Final = 1_000
"""Notifications of which some addresses are left."""

Refusals = Mapping[str, tuple[int, bytes]]
"""Address → code and words of the answer."""

CHART: Final = "chart@taximeter"
"""What the text of a mail calls its image."""


class EmailSettings(Written):
    kind: Literal["email"]
    host: str = Field(description="The SMTP server.")
    port: int = Field(default=587, description="Its port.")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="`none` is for a server on this machine."
    )
    username: str | None = Field(default=None, description="To sign in with.")
    password: SecretStr | None = Field(default=None, description="The same.")
    sender: str = Field(alias="from", description="The address mails come from.")
    to: list[str] = Field(min_length=1, description="Addresses.")
    ca_file: str | None = Field(default=None, description="Certificates to trust instead of the machine's.")


class Email:
    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._left: dict[str, list[str]] = {}
        """By notification, the addresses that were refused when others were not: only they are tried again."""

    def deliver(self, message: Message, notification_id: str) -> None:
        """A mail that one of its addresses was refused is not delivered: somebody has to hear of that."""
        mail = composed(message, notification_id, self._settings.sender, self._settings.to)
        to = self._left.get(notification_id, self._settings.to)
        refused = self._sent(mail, to)
        if len(refused) < len(to):
            self._left.pop(notification_id, None)
        if refused:
            if len(refused) < len(to):
                self._leave(notification_id, list(refused))
            permanent = all(code >= NEVER for code, _said in refused.values())
            raise DeliveryError(f"the mail server refused {', '.join(refused)}", permanent=permanent)

    def _leave(self, notification_id: str, addresses: list[str]) -> None:
        if len(self._left) >= MOST_LEFT:
            self._left.pop(next(iter(self._left)))
        self._left[notification_id] = addresses

    def _sent(self, mail: EmailMessage, to: Sequence[str]) -> Refusals:
        """What was refused, by address. Raises DeliveryError."""
        try:
            with self._connected() as server:
                return server.send_message(mail, to_addrs=to)
        except smtplib.SMTPRecipientsRefused as error:
            return error.recipients
        except smtplib.SMTPResponseException as error:
            said = (
                error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            raise DeliveryError(
                f"the mail server answered {error.smtp_code}: {said}", permanent=error.smtp_code >= NEVER
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(f"the mail server lacks what is asked for: {error}", permanent=True) from None
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryError(f"the mail server does not answer: {type(error).__name__}") from None

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """Left without a word that could still fail: a mail that was taken is delivered."""
        server = self._opened()
        try:
            self._introduced(server)
            yield server
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()

    def _opened(self) -> smtplib.SMTP:
        settings = self._settings
        if settings.security != "tls":
            return smtplib.SMTP(settings.host, settings.port, timeout=TIMEOUT_SECONDS)
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=TIMEOUT_SECONDS, context=self._trusted())

    def _introduced(self, server: smtplib.SMTP) -> None:
        settings = self._settings
        if settings.security == "starttls":
            server.starttls(context=self._trusted())
        if settings.username is not None and settings.password is not None:
            server.login(settings.username, settings.password.get_secret_value())

    def _trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._settings.ca_file)


def composed(message: Message, notification_id: str, sender: str, to: list[str]) -> EmailMessage:
    """The mail: its id is that of the notification, so that a copy is seen to be one."""
    mail = EmailMessage()
    mail["Subject"] = _one_line(message.first_line)[:SUBJECT_CHARACTERS]
    mail["From"], mail["To"] = sender, ", ".join(to)
    mail["Date"] = format_datetime(datetime.fromisoformat(message.at))
    mail["Message-ID"] = f"<{notification_id.replace('/', '.')}@taximeter>"
    mail["References"] = f"<{message.dedup_key}@taximeter>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(text_lines(message)))
    mail.add_alternative(html(message), subtype="html")
    if message.chart is not None:
        rendered = png(message.chart, _colour(message))
        shown = mail.get_body(["html"])
        assert isinstance(shown, EmailMessage)
        shown.add_related(rendered, "image", "png", cid=f"<{CHART}>", disposition="inline", filename="chart.png")
    return mail


def _one_line(text: str) -> str:
    return " ".join(text.split())


def text_lines(message: Message) -> Iterator[str]:
    """The message for readers without HTML, and for channels that take plain text."""
    yield from (message.first_line, "", message.summary, "")
    yield from (f"{name}: {value}" for name, value in message.facts)
    if message.chart is not None:
        yield from ("", message.chart.line, message.chart.caption)
    if message.contributors:
        yield from ("", "Who is behind it", *(f"- {one}" for one in message.contributors))
    if message.evidence:
        yield from ("", "First steps, done already", *(f"- {name}: {told}" for name, told in message.evidence))
    if message.action:
        yield from ("", f"Suggested: {message.action}")
    yield from ("", *(f"{link.text}: {link.url}" for link in (*message.deeds, *message.links)))


def html(message: Message) -> str:
    """The same, laid out. Every text is escaped."""
    facts = "".join(
        f"<tr><td style='color:#666;padding:2px 12px 2px 0'>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in message.facts
    )
    evidence = [f"{name}: {told}" for name, told in message.evidence]
    links = " &nbsp; ".join(
        f"<a href='{escape(link.url, quote=True)}'>{escape(link.text)}</a>" for link in (*message.deeds, *message.links)
    )
    return (
        "<div style='font-family:sans-serif;max-width:640px'>"
        f"<h2 style='border-left:6px solid {_colour(message)};padding-left:10px'>{escape(message.first_line)}</h2>"
        f"<p>{escape(message.summary)}</p><table>{facts}</table>{_chart(message)}"
        f"{_listed('Who is behind it', message.contributors)}{_listed('First steps, done already', evidence)}"
        f"{f'<p><b>Suggested:</b> {escape(message.action)}</p>' if message.action else ''}<p>{links}</p></div>"
    )


def _colour(message: Message) -> str:
    return COLOURS[message.severity if message.open else "resolved"]


def _chart(message: Message) -> str:
    if message.chart is None:
        return ""
    caption = escape(message.chart.caption)
    return f"<p><img src='cid:{CHART}' alt='{caption}'><br><small>{caption}</small></p>"


def _listed(title: str, lines: object) -> str:
    items = "".join(f"<li>{escape(str(line))}</li>" for line in lines) if isinstance(lines, list | tuple) else ""
    return f"<p><b>{escape(title)}</b></p><ul>{items}</ul>" if items else ""
