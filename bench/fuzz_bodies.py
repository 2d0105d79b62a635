"""Fuzzing of what comes in whole from outside: OTLP requests in both forms, and files to import.

    python -m bench.fuzz_bodies [--seconds 600] [--seed N]

It begins from recorded spans and from the samples of every import format, and spoils them: bytes are changed, cut out,
repeated and taken from elsewhere, values are replaced by odd ones. Looked for are exceptions, hangs (an input that
takes over 5 seconds), memory that keeps growing, more events than there was something to count, counts that contradict
themselves, and events that are refused although they were made here. The first input that shows one is kept in a file.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.otlp import as_protobuf, batches_of
from taximeter.core.usage import violations
from taximeter.errors import UsageError
from taximeter.ingest.imports.engine import outcomes, told
from taximeter.ingest.imports.files import rows_of
from taximeter.ingest.imports.row import Draft, Options
from taximeter.ingest.otlp import json_form, protobuf
from taximeter.ingest.otlp.deciding import Decider
from taximeter.ingest.otlp.receive import Form
from taximeter.ingest.wire import usage_in, validate_batch, validate_events

NOW_US: Final = 1_790_000_000_000_000
SAMPLES: Final = Path(__file__).parents[1] / "tests" / "ingest_imports" / "samples"
SPANS: Final = 120
REQUEST_SPANS: Final = 6
"""Recorded spans to begin from, and how many of them are in a request."""

LONGEST_INPUT_BYTES: Final = 60_000
LONGEST_SECONDS: Final = 5.0
MOST_MEGABYTES_MORE: Final = 300
"""What the process may grow by after the first tenth of its time."""

ODD: Final = (
    *(b"null", b"-1", b"1e400", b"NaN", b"true", b"[]", b"{}", b'""', b"0", b"9" * 30, b"1.5", b'"1,5"', b'"', b"\n"),
    *(b'"\\ud800"', b"\xff\xfe", b"\x00", b"[" * 2_000, b'{"a":' * 500, b'"2026-13-45T99:99:99Z"', b"," * 50),
)


class FoundError(AssertionError):
    """What must not happen, happened."""


# ── what is done with an input ───────────────────────────────────────────────────────────────────────────────


def read_request(form: Form, body: bytes) -> None:
    """Decode, decide, settle and check spans, as the receiver does."""
    try:
        arrived = form.decode("traces", body)
    except UsageError:
        return
    memory = (decider := Decider(NOW_US)).memory
    ready = [*decider.decide(arrived, None, NOW_US).ready]
    ready += memory.settle(memory.ripe(NOW_US * 2), ()).ready
    events = [event for event, _ in ready]
    if len(events) > len(arrived.spans):
        raise FoundError(f"{len(events)} events of {len(arrived.spans)} spans")
    for event in events:
        if wrong := violations(usage_in(event)):
            raise FoundError(f"counts contradict each other: {wrong[0]}")
    for refused in validate_events(events, NOW_US).rejected:
        if refused["code"] != "invalid_started_at":
            raise FoundError(f"made here, and refused: {refused}")


def read_file(content: bytes) -> None:
    """Recognise and read a file, as an import does."""
    try:
        form, rows = told(rows_of(io.BufferedReader(io.BytesIO(content), buffer_size=1 << 17)))
        if form is not None:
            drafts = [one.record for one in outcomes(rows, form, Options(NOW_US, {})) if isinstance(one, Draft)]
            lines = b"\n".join(map(msgspec.json.encode, drafts))
            validate_batch(lines, "application/x-ndjson", NOW_US)
    except UsageError:
        return


# ── inputs ───────────────────────────────────────────────────────────────────────────────────────────────────

Read = Callable[[bytes], None]


def beginnings() -> list[tuple[str, Read, bytes]]:
    """Name, reader, and something whole."""
    begun: list[tuple[str, Read, bytes]] = []
    for request in batches_of(SPANS, REQUEST_SPANS):
        begun.append(("OTLP in protobuf", lambda body: read_request(protobuf, body), as_protobuf(request)))
        begun.append(("OTLP in JSON", lambda body: read_request(json_form, body), json.dumps(request).encode()))
    begun += [(path.name, read_file, path.read_bytes()) for path in sorted(SAMPLES.iterdir())]
    return [(name, read, whole[:LONGEST_INPUT_BYTES]) for name, read, whole in begun]


def spoilt(whole: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(len(data) + 1)
        end = min(len(data), place + chance.choice((1, 1, 4, 30, 400)))
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        pieces = (
            bytes([chance.randrange(256)]),
            chance.choice(ODD),
            b"",
            bytes(data[place:end]) * chance.choice((2, 20)),
            other[start : start + chance.choice((1, 20, 300))],
        )
        data[place:end] = chance.choice(pieces)
    return bytes(data[:LONGEST_INPUT_BYTES])


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────


def megabytes() -> float:
    """The most that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(seconds: float, seed: int) -> Counter[str]:
    """Inputs read, by what they began from. Raises FoundError, naming the file with the input."""
    chance = random.Random(seed)
    begun = beginnings()
    wholes = [whole for _, _, whole in begun]
    tried: Counter[str] = Counter()
    started = time.monotonic()
    settled_megabytes = None
    while (passed := time.monotonic() - started) < seconds:
        name, read, whole = chance.choice(begun)
        data = spoilt(whole, wholes, chance)
        before = time.process_time()
        try:
            read(data)
            if time.process_time() - before > LONGEST_SECONDS:
                raise FoundError(f"{time.process_time() - before:.1f} s")
        except Exception as error:  # whatever it is, the input that led to it is what is wanted
            raise FoundError(f"{name}: {type(error).__name__}: {error}\nthe input is in {_kept(data)}") from error
        tried[name] += 1
        if settled_megabytes is None and passed > seconds / 10:
            settled_megabytes = megabytes()
    if settled_megabytes is not None and megabytes() - settled_megabytes > MOST_MEGABYTES_MORE:
        raise FoundError(f"grown from {settled_megabytes:.0f} to {megabytes():.0f} MB")
    return tried


def _kept(data: bytes) -> str:
    with tempfile.NamedTemporaryFile(prefix="fuzz-", delete=False) as file:
        file.write(data)
    return file.name


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    chosen = parser.parse_args(arguments)
    print(f"seed {chosen.seed}", file=sys.stderr)
    tried = run(chosen.seconds, chosen.seed)
    for name, inputs in tried.most_common():
        print(f"{inputs:>8,}  {name}")
    print(f"{tried.total():>8,}  inputs, {megabytes():.0f} MB at most, nothing found")


if __name__ == "__main__":
    main()
