"""`openai`: OpenAI, Azure OpenAI, and every compatible host that is reached with `base_url`."""

from __future__ import annotations

from typing import Final

from taximeter.sdk.instruments.stainless import Instrument

INSTRUMENTS: Final = (Instrument("openai", "OpenAI", "AsyncOpenAI", asks_for_usage=True),)
