"""Providers, and the rule by which a path of the gateway becomes a path of a provider.

`/{provider}/rest` goes to `{base_url}/rest`, with two exceptions that make every client's habit work. A rest that
begins with the path of `base_url` already is taken as it is. And a leading `/v1` of the rest is dropped

- when `base_url` already ends in `/v1`, and
- for kinds that speak like OpenAI whenever `base_url` has a path at all, because an OpenAI client's `base_url` is
  where the API begins (`https://host/openai/deployments/gpt-4o`, `https://host/v1beta/openai`): the gateway's
  `/{provider}/v1` stands for it.

| base_url                              | asked for                   | goes to                                |
|---------------------------------------|-----------------------------|----------------------------------------|
| https://api.openai.com/v1             | /openai/v1/chat/completions | /v1/chat/completions                   |
| https://api.openai.com/v1             | /openai/chat/completions    | /v1/chat/completions                   |
| https://api.groq.com/openai/v1        | /groq/openai/v1/chat/completions | /openai/v1/chat/completions       |
| https://api.anthropic.com             | /anthropic/v1/messages      | /v1/messages                           |
| https://api.perplexity.ai             | /pplx/chat/completions      | /chat/completions                      |
| https://x.azure.com/openai/deployments/d | /az/v1/chat/completions  | /openai/deployments/d/chat/completions |
| https://x.azure.com                   | /az/openai/deployments/d/.. | /openai/deployments/d/..               |

The provider's host is fixed by its configuration, and no path leaves the path of `base_url`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote_to_bytes, urlsplit

from taximeter.core.places import region_at
from taximeter.gateway.kinds import KINDS
from taximeter.gateway.policy import NOT_AGAIN, Policy
from taximeter.gateway.upstream import Headers, Origin, proxy_at

_DOTS: Final = re.compile(rb"(?:^|[/\\])\.\.?(?:[/\\;]|$)")
_UNFIT: Final = re.compile(rb"[\x00-\x20\x7f#?]")

MOST_PATHS: Final = 1024
"""Paths that are known to be tame, or not: nearly all calls go to a few."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One upstream. `kind` is one of `KINDS`; `api_key` is the real key, None lets clients bring their own.

    `key_header` overrides the header that carries the key. `ask_for_usage` says whether streams may be asked for
    their usage (`stream_options`); some compatible hosts refuse the field. `proxy` is the URL of an HTTP proxy.
    `http2`: it is asked in HTTP/2, if it speaks that.
    """

    name: str
    kind: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    key_header: str | None = None
    ca_file: str | None = None
    ask_for_usage: bool = True
    client_cert_file: str | None = None
    client_key_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    http2: bool = False
    policy: Policy = NOT_AGAIN


class Mount:
    """A provider as it is served: its origin, and the translation of paths.

    `region` is what the provider's host says of where it serves. `asks_for_usage` begins as configured and ends for
    good when the provider turns out to refuse the question.
    """

    __slots__ = (
        "_base",
        "_credentials",
        "_drops_v1",
        "asks_for_usage",
        "kind",
        "origin",
        "policy",
        "provider",
        "region",
        "signer",
    )

    def __init__(self, provider: Provider) -> None:
        self.kind = kind = KINDS[provider.kind]
        url = urlsplit(provider.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"not a base URL: {provider.base_url!r}")
        scheme: Literal["http", "https"] = "https" if url.scheme == "https" else "http"
        port = url.port or (443 if scheme == "https" else 80)
        self.provider = provider
        self.asks_for_usage = provider.ask_for_usage
        self.policy = provider.policy if provider.policy.is_on else None
        self.origin = Origin(
            scheme,
            url.hostname,
            port,
            provider.ca_file,
            provider.client_cert_file,
            provider.client_key_file,
            None if provider.proxy is None else proxy_at(provider.proxy),
            # A proxy that is asked for the whole address is asked in HTTP/1.1.
            provider.http2 and not (scheme == "http" and provider.proxy is not None),
        )
        self.region = region_at(url.hostname)
        self._base = url.path.rstrip("/").encode()
        self._drops_v1 = self._base.endswith(b"/v1") or (kind.base_stands_for_v1 and self._base != b"")
        self._credentials = {place: _credential(provider, place) for place in kind.key_headers}
        self.signer = kind.signer(provider) if kind.signer is not None and provider.api_key is None else None

    def target(self, rest: bytes) -> bytes | None:
        """The provider's path for `rest` (raw, with its slash), or None for a path that is not to be trusted."""
        if not _is_tame(rest):
            return None
        if self._base and rest.startswith(self._base) and rest[len(self._base) :][:1] in (b"/", b""):
            return rest
        if self._drops_v1 and (rest.startswith(b"/v1/") or rest == b"/v1"):
            rest = rest[3:]
        return self._base + rest or b"/"

    def tells_unasked(self, model: str | None) -> bool:
        """Whether the streams of a model end with their usage, asked or not."""
        told = self.kind.tells_usage_unasked
        return bool(told) and model is not None and any(part in model.lower() for part in told)

    def credential(self, given: Headers) -> Headers:
        """The configured key, in the place where the client had its own; empty when none is configured."""
        for name, _ in given:
            if name in self._credentials:
                return self._credentials[name]
        return self._credentials[self.kind.key_headers[0]]


def _credential(provider: Provider, place: bytes) -> Headers:
    if provider.api_key is None:
        return []
    name = place if provider.key_header is None else provider.key_header.lower().encode()
    secret = provider.api_key.encode()
    return [(name, b"Bearer " + secret if name == b"authorization" else secret)]


@lru_cache(maxsize=MOST_PATHS)
def _is_tame(path: bytes) -> bool:
    """Whether a path stays where it is: no dot segments in any spelling, no empty first segment, nothing unfit."""
    if path.startswith(b"//") or _UNFIT.search(path):
        return False
    if b"%" in path:
        path = unquote_to_bytes(unquote_to_bytes(path))
        if path.startswith(b"//"):
            return False
    return not ((b"." in path and _DOTS.search(path)) or b"\\" in path)


class Mounts:
    """All providers by name, and the split of a request path."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._mounts = {name.encode(): Mount(provider) for name, provider in providers.items()}
        self.names = tuple(sorted(providers))
        self.speak_http2 = any(mount.origin.http2 for mount in self._mounts.values())

    def named(self, name: str) -> Mount | None:
        return self._mounts.get(name.encode())

    def find(self, raw_path: bytes) -> tuple[Mount | None, bytes]:
        """The provider of `/{name}/rest` and `/rest`."""
        name, slash, rest = raw_path[1:].partition(b"/")
        return self._mounts.get(name), slash + rest
