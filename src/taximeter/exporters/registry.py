"""All kinds of exporters: a kind of one's own is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from taximeter.config.section import Section
from taximeter.errors import Mistake
from taximeter.exporters.port import Exporter

Kind = tuple[type[Section], Callable[[Any], Exporter]]
"""The model of an exporter's settings, and how it is made from them."""


# A client library is only imported by those who use it.


def _datadog() -> Kind:
    from taximeter.exporters.datadog import Datadog, DatadogSettings

    return DatadogSettings, Datadog


def _cloudwatch() -> Kind:
    from taximeter.exporters.cloudwatch import CloudWatch, CloudWatchSettings

    return CloudWatchSettings, CloudWatch


def _otlp() -> Kind:
    from taximeter.exporters.otlp import Otlp, OtlpSettings

    return OtlpSettings, Otlp


def _webhook() -> Kind:
    from taximeter.exporters.webhook import Webhook, WebhookSettings

    return WebhookSettings, Webhook


KINDS: Final[Mapping[str, Callable[[], Kind]]] = {
    "datadog": _datadog,
    "cloudwatch": _cloudwatch,
    "otlp": _otlp,
    "webhook": _webhook,
}
EXTRAS: Final = {"cloudwatch": "cloudwatch"}
"""What has to be installed for a kind."""


def open_exporters(written: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Exporter], list[Mistake]]:
    """The exporters of a configuration, and everything that is wrong with it."""
    exporters: dict[str, Exporter] = {}
    mistakes: list[Mistake] = []
    for name, settings in written.items():
        where = f"exporters.to.{name}"
        kind = KINDS.get(str(settings.get("kind")))
        if kind is None:
            mistakes.append(Mistake(f"{where}.kind", f"should be one of {', '.join(KINDS)}"))
            continue
        try:
            model, make = kind()
            exporters[name] = make(model.model_validate(dict(settings)))
        except ValidationError as error:
            mistakes += [Mistake(".".join((where, *map(str, one["loc"]))), one["msg"]) for one in error.errors()]
        except ImportError:
            extra = EXTRAS[str(settings["kind"])]
            mistakes.append(Mistake(where, f"needs more to be installed: pip install 'taximeter[{extra}]'"))
        except ValueError as error:
            mistakes.append(Mistake(where, str(error)))
    return exporters, mistakes
