"""All kinds of channels: a kind of one's own is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from taximeter.alerts.channels.port import Channel, DeliveryError
from taximeter.clock import Clock
from taximeter.config.alerting import Written
from taximeter.errors import Mistake

Kind = tuple[type[Written], Callable[[Any, Clock], Channel]]
"""The model of a channel's settings, and how it is made from them."""


# A client library is only imported by those who use it: together they take a second of every start.


def _slack() -> Kind:
    from taximeter.alerts.channels.slack import Slack, SlackSettings

    return SlackSettings, Slack


def _pagerduty() -> Kind:
    from taximeter.alerts.channels.pagerduty import PagerDuty, PagerDutySettings

    return PagerDutySettings, lambda settings, _clock: PagerDuty(settings)


def _datadog() -> Kind:
    from taximeter.alerts.channels.datadog import DatadogEvents, DatadogEventsSettings

    return DatadogEventsSettings, lambda settings, _clock: DatadogEvents(settings)


def _email() -> Kind:
    from taximeter.alerts.channels.email import Email, EmailSettings

    return EmailSettings, lambda settings, _clock: Email(settings)


def _webhook() -> Kind:
    from taximeter.alerts.channels.webhook import Webhook, WebhookSettings

    return WebhookSettings, Webhook


def _alertmanager() -> Kind:
    from taximeter.alerts.channels.alertmanager import Alertmanager, AlertmanagerSettings

    return AlertmanagerSettings, lambda settings, _clock: Alertmanager(settings)


def _apprise() -> Kind:
    from taximeter.alerts.channels.apprise import Apprise, AppriseSettings

    return AppriseSettings, lambda settings, _clock: Apprise(settings)


KINDS: Final[Mapping[str, Callable[[], Kind]]] = {
    "slack": _slack,
    "pagerduty": _pagerduty,
    "datadog": _datadog,
    "email": _email,
    "webhook": _webhook,
    "alertmanager": _alertmanager,
    "apprise": _apprise,
}


def open_channels(written: Mapping[str, Mapping[str, Any]], clock: Clock) -> tuple[dict[str, Channel], list[Mistake]]:
    """The channels of a configuration, and everything that is wrong with it."""
    channels: dict[str, Channel] = {}
    mistakes: list[Mistake] = []
    for name, settings in written.items():
        try:
            channels[name] = _opened(settings, clock)
        except ValidationError as error:
            mistakes += [
                Mistake(".".join(("alerts.channels", name, *map(str, one["loc"]))), one["msg"])
                for one in error.errors()
            ]
        except DeliveryError as error:
            mistakes.append(Mistake(f"alerts.channels.{name}", str(error)))
    return channels, mistakes


def _opened(settings: Mapping[str, Any], clock: Clock) -> Channel:
    kind = KINDS.get(str(settings.get("kind")))
    if kind is None:
        raise DeliveryError(f"kind should be one of {', '.join(KINDS)}", permanent=True)
    model, make = kind()
    return make(model.model_validate(settings), clock)
