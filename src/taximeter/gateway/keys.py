"""Who is calling: the taximeter key of a request, and the credential that goes to the provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, Protocol

from taximeter.core.attribution import Attribution, attribution
from taximeter.errors import StoreError
from taximeter.gateway.heads import (
    MOST_REMEMBERED,
    Attributes,
    RequestHead,
    attribution_of,
    is_signature,
    secret_in,
    text_of,
)
from taximeter.gateway.providers import Mount
from taximeter.gateway.refusals import keys_unknown, no_key, no_provider_key, wrong_key, wrong_scope
from taximeter.gateway.upstream import Headers

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
"""The key of a secret, None when there is none or it was revoked; StoreError when nobody can tell now. Called for every
request: it must be quick."""


def admit(head: RequestHead, mount: Mount, find: KeyCheck | None) -> tuple[Key | None, Headers]:
    """The caller's key, and the credentials for the provider. Raises Refusal.

    With `find` None nobody needs a taximeter key: the configured provider key is used, otherwise the caller's own.
    No credentials at all: the request is to be signed, or the provider takes it as it is.
    """
    if find is None:
        return None, mount.credential(head.secrets) or _usable(head.secrets) or none_for(mount)
    key = identified(head, find)
    own: Headers = []
    if b"key" in head.ours:
        # A client may put its taximeter key into both places; it must never reach the provider.
        own = [header for header in _usable(head.secrets) if not _is_ours(header, find)]
    return key, own or mount.credential(head.secrets) or none_for(mount)


def none_for(mount: Mount) -> Headers:
    """No credential, for a provider that needs none or whose requests are signed. Raises Refusal for others."""
    if mount.kind.needs_key and mount.signer is None:
        raise no_provider_key(mount.provider.name)
    return []


def _usable(secrets: Headers) -> Headers:
    return [header for header in secrets if not is_signature(*header)]


def identified(head: RequestHead, find: KeyCheck) -> Key:
    """The taximeter key of a request. Raises Refusal when there is none that is good for the gateway."""
    separate = head.ours.get(b"key")
    try:
        key = _find_in_place(head.secrets, find) if separate is None else find(text_of(separate.strip()))
    except StoreError:
        raise keys_unknown() from None
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
    try:
        return secret is not None and find(secret) is not None
    except StoreError:
        raise keys_unknown() from None


def attributed(key: Key | None, head: RequestHead) -> Attribution:
    """What the headers say together with what is bound to the key; the key decides which of them wins."""
    if key is None or not key.attributes:
        return head.attribution()
    return _together(head.attributes, tuple(key.attributes.items()), key.attributes_win)


@lru_cache(maxsize=MOST_REMEMBERED)
def _together(said: Attributes, bound: tuple[tuple[str, str], ...], bound_wins: bool) -> Attribution:
    by_headers, by_key = attribution_of(said), attribution(**dict(bound))
    return by_key.over(by_headers) if bound_wins else by_headers.over(by_key)
