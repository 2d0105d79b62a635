"""Which proxy leads to a host: what is configured, else what the environment says."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

DIRECT: Final = "none"


def proxy_for(base_url: str, configured: str | None, environment: Mapping[str, str]) -> str | None:
    """The URL of the proxy on the way to `base_url`, None for the direct way."""
    if configured is not None:
        return None if configured in (DIRECT, "") else configured
    url = urlsplit(base_url)
    host = url.hostname or ""
    if is_this_machine(host) or is_named(host, url.port, _said("NO_PROXY", environment) or ""):
        return None
    said = _said(f"{url.scheme.upper()}_PROXY", environment) or _said("ALL_PROXY", environment)
    if said is None:
        return None
    return said if "://" in said else f"http://{said}"


def is_proxy(url: str) -> bool:
    """Whether it is an address that can be used as a proxy: `http://name:password@host:port`."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_named(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names a host: `*`, the name, a domain above it (with or without a dot), each with a port."""
    for named in (entry.strip().lower() for entry in no_proxy.split(",")):
        domain, colon, of_port = named.rpartition(":") if named.count(":") == 1 else (named, "", "")
        domain = domain.removeprefix("*").removeprefix(".") if named != "*" else named
        fits = domain == "*" or host.lower() == domain or host.lower().endswith(f".{domain}")
        if domain and fits and (not colon or of_port == str(port)):
            return True
    return False


def _said(name: str, environment: Mapping[str, str]) -> str | None:
    """The small spelling wins, as everywhere."""
    return environment.get(name.lower()) or environment.get(name) or None
