"""The gateway: a reverse proxy that speaks the providers' own protocols and records every call.

    gateway = Gateway(providers, keys, Recorder(spool, clock), price, clock, GatewaySettings())

is a raw ASGI application. It must be served without another `date` and `server` header than the provider's own
(uvicorn: `date_header=False, server_header=False`).
"""

from taximeter.gateway.admission import Admission, Asking, Hold
from taximeter.gateway.app import Gateway
from taximeter.gateway.keys import Key, KeyCheck
from taximeter.gateway.policy import Policy
from taximeter.gateway.polled import KnownAnswers
from taximeter.gateway.providers import Provider
from taximeter.gateway.recorder import LineLog, Recorder
from taximeter.gateway.refusals import Refusal
from taximeter.gateway.settings import GatewaySettings
from taximeter.gateway.tools import Price

__all__ = [
    "Admission",
    "Asking",
    "Gateway",
    "GatewaySettings",
    "Hold",
    "Key",
    "KeyCheck",
    "KnownAnswers",
    "LineLog",
    "Policy",
    "Price",
    "Provider",
    "Recorder",
    "Refusal",
]
