"""`anthropic`: the messages API."""

from __future__ import annotations

from typing import Final

from taximeter.sdk.instruments.stainless import Instrument

INSTRUMENT: Final = Instrument("anthropic", "Anthropic", "AsyncAnthropic")
