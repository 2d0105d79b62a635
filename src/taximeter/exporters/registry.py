"""All kinds of exporters: a kind of one's own is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from taximeter.config.exporting import S3_SCHEME, FileSettings
from taximeter.config.section import Section
from taximeter.errors import Mistake
from taximeter.exporters.filing import Place
from taximeter.exporters.folder import Folder
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
EXTRAS: Final = {"cloudwatch": "cloudwatch", "datadog": "datadog"}
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


def open_place(settings: FileSettings) -> Place:
    """Where the files of an export go. Raises ValueError when it cannot be what is said."""
    if not settings.to.startswith(S3_SCHEME):
        return Folder(Path(settings.to).expanduser())
    try:
        from taximeter.exporters.s3 import Bucket
    except ImportError as error:
        raise ValueError("needs more to be installed: pip install 'taximeter[s3]'") from error
    return Bucket(settings.to, settings.region, settings.endpoint_url)


def open_places(written: Mapping[str, FileSettings]) -> tuple[dict[str, Place], list[Mistake]]:
    """The places of the files of a configuration, by name, and everything that is wrong with them."""
    places: dict[str, Place] = {}
    mistakes: list[Mistake] = []
    for name, settings in written.items():
        try:
            places[name] = open_place(settings)
        except ValueError as error:
            mistakes.append(Mistake(f"exporters.files.{name}.to", str(error)))
    return places, mistakes
