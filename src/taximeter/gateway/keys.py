"""Who is calling: the taximeter key of a request, and the credential that goes to the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Protocol

from taximeter.core.attribution import Attribution, attribution
from taximeter.gateway.heads import RequestHead, secret_in, text_of
from taximeter.gateway.providers import KEY_HEADERS, Provider
from taximeter.gateway.refusals import no_key, no_provider_key, wrong_key, wrong_scope
from taximeter.gateway.upstream import Headers

MOST_REMEMBERED: Final = 1024
"""Sets of attributes bound to keys that are kept ready."""

SCOPES: Final = frozenset({"gateway", "admin"})


class Key(Protocol):
    """What the gateway needs to know of a taximeter key."""

    @property
    def id(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def attributes(self) -> Mapping[str, str]: ...
    @property
    def attributes_win(self) -> bool: ...


KeyCheck = Callable[[str], Key | None]
"""The key of a secret, None when there is none or it was revoked. Called for every request: it must be quick."""


def admit(head: RequestHead, provider: Provider, find: KeyCheck | None) -> tuple[Key | None, Headers]:
    """The caller's key, and the credential headers for the provider. Raises Refusal.

    With `find` None nobody needs a taximeter key: the configured provider key is used, otherwise the caller's own.
    """
    if find is None:
        return None, _configured(provider, head) or head.secrets or _refuse_for(provider)
    key = identified(head, find)
    own: Headers = []
    if b"key" in head.ours:
        # A client may put its taximeter key into both places; it must never reach the provider.
        own = [header for header in head.secrets if not _is_ours(header, find)]
    return key, own or _configured(provider, head) or _refuse_for(provider)


def identified(head: RequestHead, find: KeyCheck) -> Key:
    """The taximeter key of a request. Raises Refusal when there is none that is good for the gateway."""
    separate = head.ours.get(b"key")
    key = _find_in_place(head.secrets, find) if separate is None else find(text_of(separate.strip()))
    if key is None:
        raise wrong_key()
    if key.scope not in SCOPES:
        raise wrong_scope(key.scope)
    return key


def _find_in_place(secrets: Headers, find: KeyCheck) -> Key | None:
    given = [secret for name, value in secrets if (secret := secret_in(name, value)) is not None]
    if not given:
        raise no_key()
    return next((key for secret in given if (key := find(secret)) is not None), None)


def _is_ours(header: tuple[bytes, bytes], find: KeyCheck) -> bool:
    secret = secret_in(*header)
    return secret is not None and find(secret) is not None


def _refuse_for(provider: Provider) -> Headers:
    raise no_provider_key(provider.name)


def _configured(provider: Provider, head: RequestHead) -> Headers:
    """The provider's own key in its place; empty when none is configured."""
    if provider.api_key is None:
        return []
    name = _place(provider, head)
    secret = provider.api_key.encode()
    return [(name, b"Bearer " + secret if name == b"authorization" else secret)]


def _place(provider: Provider, head: RequestHead) -> bytes:
    """Azure's clients put their key into `api-key`, and there it is expected."""
    if provider.key_header is not None:
        return provider.key_header.lower().encode()
    if provider.kind == "openai" and any(name == b"api-key" for name, _ in head.secrets):
        return b"api-key"
    return KEY_HEADERS[provider.kind]


def attributed(key: Key | None, said: Attribution) -> Attribution:
    """What the headers say together with what is bound to the key; the key decides which of them wins."""
    if key is None or not key.attributes:
        return said
    bound = _bound(tuple(key.attributes.items()))
    return bound.over(said) if key.attributes_win else said.over(bound)


@lru_cache(maxsize=MOST_REMEMBERED)
def _bound(attributes: tuple[tuple[str, str], ...]) -> Attribution:
    return attribution(**dict(attributes))
