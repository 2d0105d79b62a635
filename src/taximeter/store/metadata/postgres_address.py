"""Addresses of PostgreSQL servers, as people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taximeter.errors import ConfigurationError

Refused = Callable[[str], ConfigurationError]
"""An error that names the setting, from what is wrong with the address."""


def read_address(address: str, refused: Refused, *, database: str = "DATABASE") -> dict[str, Any]:
    """The parameters of a connection. Raises what `refused` makes when the client library is not installed, or it is
    no address; `database` stands in the example of one."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise refused("needs its client library: pip install 'taximeter[postgres]'") from None
    try:
        return conninfo_to_dict(address)
    except psycopg.Error:
        # Its message may quote the address, and a password with it.
        raise refused(f"is no address such as postgresql://USER:PASSWORD@HOST:5432/{database}") from None


def place_of(parameters: Mapping[str, Any]) -> str:
    """Where that is, without user and password."""
    hosts = str(parameters.get("host") or parameters.get("hostaddr") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    placed = [f"{host}:{port}" if port else host for host, port in zip(hosts, _as_many(ports, hosts), strict=True)]
    return f"postgresql://{','.join(placed)}/{parameters.get('dbname') or ''}"


def _as_many(ports: Sequence[str], hosts: Sequence[str]) -> Sequence[str]:
    """One port is that of every host."""
    return ports if len(ports) == len(hosts) else [ports[0]] * len(hosts)
