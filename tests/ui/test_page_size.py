"""What a browser has to load before the first view stands."""

from __future__ import annotations

import gzip
import re

from taximeter.server.page import BUILT

MOST_BYTES = 350_000


def test_the_javascript_of_the_first_view_is_small() -> None:
    """The scripts of all pages together, which are more than any view loads, compressed as a proxy would."""
    assert (BUILT / "index.html").is_file(), "the page is not built: run `make page`"
    scripts = list((BUILT / "assets").glob("*.js"))
    assert scripts
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= MOST_BYTES


def test_every_script_and_style_lies_there_as_brotli_too() -> None:
    texts = [file for file in (BUILT / "assets").iterdir() if file.suffix in (".js", ".css")]
    assert texts
    assert [file.name for file in texts if not file.with_name(f"{file.name}.br").is_file()] == []


def test_what_is_shown_first_needs_no_script_and_no_style_sheet() -> None:
    document = (BUILT / "index.html").read_text()
    shown, rest = document.split('<main aria-busy="true">')
    assert "<h1>taximeter</h1>" in shown
    assert 'rel="stylesheet"' not in shown
    assert 'rel="stylesheet"' in rest


def test_what_draws_runs_before_the_rest_and_both_are_under_way_from_the_beginning() -> None:
    document = (BUILT / "index.html").read_text()
    drawing, rest = re.findall(r'import\("/(assets/[^"]*)"\)', document)
    assert drawing.startswith("assets/react-")
    assert rest.startswith("assets/index-")
    preloaded = re.findall(r'<link rel="modulepreload"[^>]*href="/([^"]*)"', document)
    assert {drawing, rest} <= set(preloaded)
    assert all((BUILT / name).is_file() for name in preloaded)
