"""Where a call is served, as far as the address says: AWS and Google Cloud name the region in it, and prices depend on
it (Claude at a region of Vertex AI costs a tenth more than worldwide)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

WORLDWIDE: Final = "global"

_IN_A_HOST: Final = re.compile(
    r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws\.com|api\.aws)\b"
    r"|(?<![\w.-])([a-z]+(?:-[a-z0-9]+)*)-aiplatform\.(?:mtls\.)?googleapis\.com\b"
    r"|(?<![\w.-])aiplatform\.([a-z]+)\.rep\.googleapis\.com\b"
)
_WORLDWIDE_HOST: Final = re.compile(r"(?<![\w.-])aiplatform\.(?:mtls\.)?googleapis\.com\b")
_IN_A_PATH: Final = re.compile(r"/locations/([a-z0-9-]{1,64})/")


@lru_cache(maxsize=1024)
def region_at(address: str) -> str | None:
    """The region in a host's name or a URL: `bedrock-runtime.eu-central-1.amazonaws.com`,
    `https://us-east5-aiplatform.googleapis.com`; None where none is named."""
    found = _IN_A_HOST.search(address)
    if found is not None:
        aws, google, google_of_several = found.groups()
        return str(aws or google or google_of_several)
    return WORLDWIDE if _WORLDWIDE_HOST.search(address) else None


def region_in(path: str) -> str | None:
    """The region in a path of Vertex AI: `/v1/projects/p/locations/us-east5/publishers/anthropic/models/...`."""
    found = _IN_A_PATH.search(path)
    return None if found is None else found[1]
