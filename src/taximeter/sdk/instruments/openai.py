"""`openai`: OpenAI, Azure OpenAI, and every compatible host that is reached with `base_url`."""

from __future__ import annotations

from typing import Final

from taximeter.sdk.instruments.stainless import Instrument
from taximeter.sdk.instruments.stainless_call import Dialect

INSTRUMENTS: Final = (Instrument(Dialect("openai", "openai", asks_for_usage=True), "OpenAI", "AsyncOpenAI"),)
