"""Forms (`multipart/form-data`): how files are sent, with the model's name in a field beside them."""

from __future__ import annotations

from email.message import Message
from typing import Final

FORM: Final = "multipart/form-data"

MOST_FIELDS: Final = 64
"""Parts of a form that are looked at."""

LONGEST_FIELD_BYTES: Final = 65_536
"""Longer fields, and those that are files, are passed over."""


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """The short text fields of a form by name, the first of each name; empty when it is none. Nothing is raised."""
    boundary = _header(content_type, "boundary") if content_type.lstrip().lower().startswith(FORM) else None
    if not boundary:
        return {}
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    fields: dict[str, str] = {}
    start = body.find(delimiter)
    for _ in range(MOST_FIELDS):
        end = body.find(b"\r\n" + delimiter, start)
        if start < 0 or end < 0:
            break
        head, _, value = body[start : min(end, start + LONGEST_FIELD_BYTES)].partition(b"\r\n\r\n")
        name = _name_of(head)
        if name is not None and end - start <= LONGEST_FIELD_BYTES:
            fields.setdefault(name, value.decode("utf-8", "replace"))
        start = end + 2
    return fields


def _name_of(head: bytes) -> str | None:
    """The name of a field by the headers of its part; None for a file."""
    for line in head.decode("latin-1").split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            return None if _header(value, "filename") is not None else _header(value, "name")
    return None


def _header(value: str, parameter: str) -> str | None:
    """A parameter of a header."""
    message = Message()
    message["content-type"] = value.replace("\r", " ").replace("\n", " ")
    found = message.get_param(parameter)
    return found if isinstance(found, str) else None
