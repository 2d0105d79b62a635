"""`groq`: a library of OpenAI's family for one host, whose streams tell their usage unasked."""

from __future__ import annotations

from typing import Final

from taximeter.sdk.instruments.stainless import Instrument
from taximeter.sdk.instruments.stainless_call import Dialect

INSTRUMENTS: Final = (Instrument(Dialect("groq", "openai"), "Groq", "AsyncGroq"),)
