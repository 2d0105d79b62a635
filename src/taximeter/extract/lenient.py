"""JSON as client libraries take it, although it is none by the letter.

Half of a surrogate pair is what is left where text was cut in the middle of an emoji, and JavaScript writes it so;
`NaN` and a byte order mark come from hosts and proxies of all kinds. A strict decoder, which is many times faster,
refuses them, and with them the counts beside them: this is for what it refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_ESCAPES: Final = re.compile(r"\\(?:u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(u[dD][89a-fA-F]\w\w)|.)", re.DOTALL)
"""Every escape of a string, one after the other; a half without its other half is a group of its own."""

_REPLACEMENT: Final = "\\ufffd"


def read_leniently(data: bytes) -> Any:
    """What is in it, safe to be encoded again. Raises ValueError, RecursionError."""
    text = data.decode(json.detect_encoding(data), "replace")
    whole = _ESCAPES.sub(lambda escape: _REPLACEMENT if escape[1] else escape[0], text)
    return json.loads(whole, strict=False, parse_constant=lambda _: None)
