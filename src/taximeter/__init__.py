"""taximeter: what each call to a language model cost, and who it was for.

import taximeter
from openai import OpenAI

taximeter.init(service="checkout")
client = taximeter.instrument(OpenAI())

with taximeter.attribute(user="user_123", feature="smart-reply"):
    client.chat.completions.create(...)
"""

from taximeter.errors import LimitExceeded, TaximeterError
from taximeter.sdk.context import attribute, attributed
from taximeter.sdk.instruments import instrument, instrument_all
from taximeter.sdk.manual import record
from taximeter.sdk.meter import flush, init, shutdown
from taximeter.sdk.outcomes import outcome
from taximeter.sdk.query import query

__version__ = "0.1.0"

__all__ = [
    "LimitExceeded",
    "TaximeterError",
    "__version__",
    "attribute",
    "attributed",
    "flush",
    "init",
    "instrument",
    "instrument_all",
    "outcome",
    "query",
    "record",
    "shutdown",
]
