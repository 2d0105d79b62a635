"""`groq`: a library of OpenAI's family for one host, whose streams tell their usage unasked."""

from __future__ import annotations

from typing import Final

from taximeter.sdk.instruments.stainless import Instrument

INSTRUMENTS: Final = (Instrument("groq", "Groq", "AsyncGroq", kind="openai"),)
