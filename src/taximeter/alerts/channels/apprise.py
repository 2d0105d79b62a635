"""Everything that Apprise speaks: Microsoft Teams, Discord, Opsgenie, Telegram, Matrix, ntfy and a hundred more, each
by an address of its own (https://github.com/caronc/apprise/wiki)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from taximeter.alerts.channels.email import text_lines
from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.message import Message
from taximeter.config.alerting import Written


class AppriseSettings(Written):
    kind: Literal["apprise"]
    url: SecretStr = Field(
        description="Apprise's address of the place, such as `tgram://token/chat` or `discord://...`."
    )


class Apprise:
    """Raises DeliveryError when it is made, if apprise is not installed or does not know the address."""

    def __init__(self, settings: AppriseSettings) -> None:
        try:
            import apprise
        except ImportError:
            raise DeliveryError(
                "apprise is not installed", permanent=True, hint="pip install 'taximeter[apprise]'"
            ) from None
        self._types = {"warning": apprise.NotifyType.WARNING, "critical": apprise.NotifyType.FAILURE}
        self._over = apprise.NotifyType.SUCCESS
        self._places = apprise.Apprise()
        if not self._places.add(settings.url.get_secret_value()):
            raise DeliveryError("Apprise does not know this address", permanent=True, hint="see Apprise's wiki")

    def deliver(self, message: Message, notification_id: str) -> None:
        del notification_id
        body = "\n".join(list(text_lines(message))[2:])
        kind = self._types[message.severity] if message.open else self._over
        if not self._places.notify(body=body, title=message.first_line, notify_type=kind):
            raise DeliveryError("the place did not take the message")
