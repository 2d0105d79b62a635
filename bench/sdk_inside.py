"""Where the time that the SDK adds to a call goes, inside real calls and in steps by themselves.

    python -m bench.sdk_inside [--calls 1000]

Timed are our three steps in a call of `openai`: `begin` (the call is noted), `parse` (the JSON of the answer,
which the client library is given, so that this is no time added) and `answer` (the event is written). First within real
calls, between which the client library has driven our code and data out of the processor's caches; then the same steps
on the same arguments, with those caches swept before each, and over and over. Medians of wall time, which tell a step
of some microseconds on a busy machine, where differences of CPU time between two clients do not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

from bench import sdk

WARM_UP_CALLS = 100

SWEPT = bytes(b"\1" * (4 << 20))
"""Larger than the cache of a core; what is zero everywhere would be one page."""


class Timed:
    """A function of ours, and how long each of its calls took, in microseconds."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.took_us: list[float] = []
        self.latest: tuple[Any, ...] = ()
        self._function = function

    def __call__(self, *args: Any) -> Any:
        self.latest = args
        began = time.perf_counter_ns()
        result = self._function(*args)
        self.took_us.append((time.perf_counter_ns() - began) / 1000)
        return result

    def median_us(self) -> float:
        return statistics.median(self.took_us)


def steps() -> tuple[Timed, Timed, Timed]:
    """Begin, parse and answer, timed from now on wherever a call goes through them."""
    from taximeter.sdk.instruments import stainless as of_patches
    from taximeter.sdk.instruments import stainless_call as of_calls

    patches: Any = of_patches
    calls: Any = of_calls

    begin, parse, answer = Timed(patches.begin), Timed(calls.payload_and_text), Timed(patches.answered)
    patches.begin, calls.payload_and_text, patches.answered = begin, parse, answer
    return begin, parse, answer


def told(heading: str, begin: Timed, parse: Timed, answer: Timed) -> None:
    """The medians so far, which are then forgotten."""
    took = begin.median_us(), parse.median_us(), answer.median_us() - parse.median_us()
    print(f"{heading:24}{took[0]:9.1f}{took[1]:9.1f}{took[2]:9.1f}{took[0] + took[2]:9.1f}")
    forget(begin, parse, answer)


def forget(*timed: Timed) -> None:
    for step in timed:
        step.took_us.clear()


def sweep() -> None:
    """Drive what is in the core's caches out of them."""
    assert SWEPT.find(b"\2") < 0


def nothing() -> None:
    pass


def main() -> None:
    import openai

    import taximeter

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    calls = parser.parse_args().calls
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=sdk.serve, args=(there,), daemon=True)
    server.start()
    taximeter.init(data=tempfile.mkdtemp(), service="bench")
    client = taximeter.instrument(openai.OpenAI(base_url=f"http://127.0.0.1:{here.recv()}/v1", api_key="k"))
    begin, parse, answer = steps()
    print(f"{'median µs':24}{'begin':>9}{'parse':>9}{'answer':>9}{'added':>9}")
    with taximeter.attribute(user="user_123", feature="smart-reply"):
        for number in range(WARM_UP_CALLS + calls):
            client.chat.completions.create(model="gpt-4o-mini", messages=sdk.MESSAGES)
            if number == WARM_UP_CALLS - 1:
                forget(begin, parse, answer)
        told("in real calls", begin, parse, answer)
        of_begin, (_, *of_answer) = begin.latest, answer.latest
        for heading, between in (("caches swept", sweep), ("one after the other", nothing)):
            for _ in range(calls):
                between()
                outgoing = begin(*of_begin)
                between()
                answer(outgoing, *of_answer)
            told(heading, begin, parse, answer)
    taximeter.shutdown()
    server.terminate()


if __name__ == "__main__":
    main()
