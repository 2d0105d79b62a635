"""Coverage-guided fuzzing of everything that reads streams: framings, and each flavour's state.

    pip install atheris && python -m bench.fuzz_streams [--seconds 600]

Looked for are exceptions, hangs (an input of 20 KB that takes over 5 seconds), memory that grows beyond what is
allowed to be held, readings whose parts exceed their whole, and readings that depend on where the bytes were cut.
It begins from the recorded streams of all providers. atheris comes for some Pythons only and is not needed for
anything else, so it is no dependency; the suite has its own fuzzing (`tests/extract/test_extract_fuzz.py`).
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

try:
    import atheris  # type: ignore[import-untyped]
except ImportError:
    sys.exit("atheris is needed: pip install atheris")

with atheris.instrument_imports(include=["taximeter.extract", "taximeter.core"]):
    from taximeter.core.usage import violations
    from taximeter.extract import LONGEST_EVENT_BYTES, Flavour, Reading, flavour_for
    from taximeter.extract.aws_events import AwsEventFraming
    from taximeter.extract.flavour import EmptyStream
    from taximeter.extract.registry import KINDS, routes_of
    from taximeter.extract.sse import SseFraming

    ROUTES = tuple(routes_of("openai"))

CASES = Path(__file__).resolve().parents[1] / "tests" / "payloads" / "provider-responses" / "cases"
LONGEST_INPUT_BYTES = 20_000
LONGEST_RUN_SECONDS = 5
MOST_MEGABYTES = 2_048

STREAMED: list[Flavour] = [
    flavour
    for _, flavour in sorted({route.flavour.name: route.flavour for route in ROUTES}.items())
    if not isinstance(flavour.open_stream(None), EmptyStream)
]


GROWING: list[Flavour] = [
    replace(flavour, name=f"{flavour.name} as an array", open_framing=flavour.open_growing)
    for flavour in STREAMED
    if flavour.open_growing is not None
]
STREAMED += GROWING
"""Each flavour as it streams, and as it grows as JSON."""


class FoundError(AssertionError):
    """What must not happen, happened."""


def check(reading: Reading) -> None:
    for one in (reading, *reading.items):
        wrong = violations(one.usage)
        if wrong:
            raise FoundError(f"parts exceed their whole: {wrong}")
        if one.output_characters < 0:
            raise FoundError("a negative number of characters")


def read(flavour: Flavour, data: bytes, piece_bytes: int) -> Reading:
    reader = flavour.stream(flavour.read_request({"model": "m", "stream": True}))
    for start in range(0, len(data), piece_bytes):
        reader.feed(data[start : start + piece_bytes])
        _ = (reader.content_started, reader.finished)
    check(reader.reading())
    reader.end()
    return reader.reading()


def one_input(data: bytes) -> None:
    """The first byte chooses the flavour, the second how the rest is cut."""
    if len(data) < 3:
        return
    flavour, piece_bytes, rest = STREAMED[data[0] % len(STREAMED)], data[1] + 1, data[2:]
    whole, pieces = read(flavour, rest, len(rest)), read(flavour, rest, piece_bytes)
    check(whole)
    if whole != pieces:
        raise FoundError(f"{flavour.name}: cut every {piece_bytes} bytes it reads otherwise:\n{whole}\n{pieces}")
    framing = flavour.open_framing()
    framing.feed(rest)
    held = len(getattr(framing, "_buffer", None) or getattr(framing, "_item", None) or b"")
    if held > LONGEST_EVENT_BYTES + len(rest):
        raise FoundError(f"{held} bytes are held")
    if isinstance(framing, AwsEventFraming) and framing.lost and held > len(rest):
        raise FoundError("a lost stream is still held")


# ── what it begins from ──────────────────────────────────────────────────────────────────────────────────────


def recorded() -> Iterator[bytes]:
    """The recorded streams, each before the number of its flavour."""
    numbers = {flavour.name: number for number, flavour in enumerate(STREAMED)}
    for path in sorted(CASES.glob("*.json")):
        case = json.loads(path.read_text())
        for kind in KINDS:
            flavour = flavour_for(kind, case["request"]["method"], case["request"]["path"], polled=True)
            if flavour is not None and flavour.name in numbers and (case["stream"] or flavour.several):
                encoded = case["response"].get("body_base64")
                body = base64.b64decode(encoded) if encoded else (case["response"].get("body") or "").encode()
                yield bytes([numbers[flavour.name], 60]) + body[:LONGEST_INPUT_BYTES]
                if flavour.open_growing is not None:
                    yield bytes([numbers[f"{flavour.name} as an array"], 60]) + _as_array(body)[:LONGEST_INPUT_BYTES]


def _as_array(events: bytes) -> bytes:
    """A stream of server-sent events as the JSON array that a client without `alt=sse` gets."""
    return b"[" + b",\r\n".join(data for _, data in SseFraming().feed(events)) + b"]"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(recorded()):
            (Path(corpus) / str(number)).write_bytes(data)
        options = [f"-max_total_time={chosen.seconds}", f"-max_len={LONGEST_INPUT_BYTES}", "-print_final_stats=1"]
        bounds = [f"-timeout={LONGEST_RUN_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}"]
        atheris.Setup([sys.argv[0], *options, *bounds, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
