"""What a browser has to load before the first view stands."""

from __future__ import annotations

import gzip
import re

from taximeter.server.page import BUILT

MOST_BYTES = 350_000


def test_the_javascript_of_the_first_view_is_small() -> None:
    """The scripts that the document itself names, compressed as a proxy would; other pages load their own later."""
    assert (BUILT / "index.html").is_file(), "the page is not built: run `make page`"
    named = set(re.findall(r'assets/[^"]+\.js', (BUILT / "index.html").read_text()))
    assert named
    assert sum(len(gzip.compress((BUILT / script).read_bytes())) for script in named) <= MOST_BYTES
