"""The gateway: a reverse proxy that speaks the providers' own protocols and records every call.

    gateway = Gateway(providers, keys, Recorder(spool, clock), price, clock, GatewaySettings())

is a raw ASGI application. It must be served without another `date` and `server` header than the provider's own
(uvicorn: `date_header=False, server_header=False`).
"""

from taximeter.gateway.app import Gateway
from taximeter.gateway.exchange import Price
from taximeter.gateway.keys import Key, KeyCheck
from taximeter.gateway.providers import Provider
from taximeter.gateway.recorder import LineLog, Recorder
from taximeter.gateway.settings import GatewaySettings

__all__ = ["Gateway", "GatewaySettings", "Key", "KeyCheck", "LineLog", "Price", "Provider", "Recorder"]
