"""Keys and sign-in links: for administrators."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from taximeter.server.routes.dependencies import Admin, TheParts
from taximeter.server.shapes import KeyInfo, KeyList, KeyWish, NewKey, SignInLink

router: Final = APIRouter(tags=["keys"])


@router.get("/keys")
def list_keys(parts: TheParts, _caller: Admin) -> KeyList:
    """All keys, revoked ones too. The keys themselves are not stored."""
    return KeyList(keys=parts.keys.list())


@router.post("/keys", status_code=201)
def create_key(wish: KeyWish, parts: TheParts, _caller: Admin) -> NewKey:
    """Make a key. It is in the answer and never again."""
    return parts.keys.create(wish.name, wish.scope, wish.attributes, attributes_win=wish.attributes_win)


@router.delete("/keys/{key_id}")
def revoke_key(key_id: str, parts: TheParts, _caller: Admin) -> KeyInfo:
    """Revoke a key, at once."""
    return parts.keys.revoke(key_id)


@router.post("/signin-links", status_code=201)
def create_sign_in_link(parts: TheParts, _caller: Admin) -> SignInLink:
    """A new link that signs a browser in."""
    return SignInLink(url=parts.sign_in_url())
