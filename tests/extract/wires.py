"""Events put on the wire, in each framing that providers use."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from taximeter.extract import Flavour
from taximeter.extract.aws_events import AwsEventFraming
from taximeter.extract.lines import LineFraming


def aws_message(payload: bytes, headers: Mapping[str, str]) -> bytes:
    """A message of an AWS event stream."""
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def aws_event(kind: str, payload: object, message_type: str = "event") -> bytes:
    """An event, or with `message_type` `exception` an error, of an AWS event stream."""
    headers = {f":{message_type}-type": kind, ":content-type": "application/json", ":message-type": message_type}
    return aws_message(json.dumps(payload).encode(), headers)


def on_the_wire(flavour: Flavour, event: Mapping[str, Any]) -> bytes:
    """One event as this flavour's provider sends it."""
    if flavour.open_framing is AwsEventFraming:
        return b"".join(aws_event(kind, payload) for kind, payload in event.items())
    if flavour.open_framing is LineFraming:
        return json.dumps(event).encode() + b"\n"
    return b"data: " + json.dumps(event).encode() + b"\n\n"
