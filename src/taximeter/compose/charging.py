"""Who is charged, as the configuration says it."""

from __future__ import annotations

from taximeter.config.chargeback import ChargebackSettings, MarkupSettings
from taximeter.reports.chargeback import Markup, Terms


def terms_of(settings: ChargebackSettings) -> Terms:
    return Terms(
        by=settings.by,
        markup=_markup(settings),
        markups={value: _markup(markup) for value, markup in settings.markups.items()},
        unattributed=settings.unattributed,
    )


def _markup(settings: ChargebackSettings | MarkupSettings) -> Markup:
    return Markup(settings.percent, settings.per_call_usd)
