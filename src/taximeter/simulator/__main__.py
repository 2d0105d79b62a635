"""`python -m taximeter.simulator serve|traffic`: providers on this machine, and an application that calls them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from taximeter.errors import TaximeterError
from taximeter.simulator.faults import KINDS, check_rates
from taximeter.simulator.running import serve
from taximeter.simulator.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m taximeter.simulator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_serve(commands.add_parser("serve", help="serve the simulated providers", epilog=_faults_listed()))
    _add_traffic(commands.add_parser("traffic", help="run the sample application", epilog=_TRAFFIC_EPILOG))
    _add_history(commands.add_parser("history", help="post an invented past, once"))
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except TaximeterError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return error.exit_code
    except (ValueError, OSError) as mistake:
        sys.stderr.write(f"simulator: {mistake}\n")
        return 2


def _faults_listed() -> str:
    listed = "; ".join(f"{kind}: {meaning}" for kind, meaning in KINDS.items())
    return (
        f"Faults: {listed}. One request asks for one by the header X-Simulator-Fault, for a recording by "
        "X-Simulator-Case. Where paths of providers are the same, the first segment names one: /mistral/v1/..., "
        "/groq/openai/v1/... What was billed is at GET /_simulator/ledger, by X-Ledger-Tag with ?tag=."
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    usual = Settings()
    parser.set_defaults(run=_serve)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one; the URL is printed as a JSON line")
    parser.add_argument("--mode", choices=("generate", "replay"), default=usual.mode)
    parser.add_argument("--latency-ms", type=float, default=350, help="median time to the first token (%(default)s)")
    parser.add_argument("--latency-spread", type=float, default=usual.latency_spread, help="sigma of its logarithm")
    parser.add_argument("--tokens-per-second", type=float, default=120, help="pace of the output, 0: at once")
    parser.add_argument("--tokens-per-chunk", type=int, default=3, help="of a stream (%(default)s)")
    parser.add_argument("--output-tokens", type=int, default=usual.output_tokens_median, help="median of an answer")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND=SHARE", help="for instance cut=0.01")
    parser.add_argument("--slow-ms", type=float, default=usual.slow_ms, help="what the fault slow adds")
    parser.add_argument("--retry-after", type=float, default=usual.retry_after_seconds, metavar="SECONDS")
    parser.add_argument("--requests-per-minute", type=int, default=0, help="for each key; 0: no limit")
    parser.add_argument("--api-key", action="append", default=[], help="accept only these; default: any")
    parser.add_argument("--ledger", type=Path, help="append billed answers to this NDJSON file")
    parser.add_argument("--seed", type=int, help="make lengths, delays and faults repeat")


def _serve(options: argparse.Namespace) -> int:
    rates = _fault_rates(options.fault)
    settings = Settings(
        mode=options.mode,
        latency_ms=options.latency_ms,
        latency_spread=options.latency_spread,
        tokens_per_second=options.tokens_per_second,
        tokens_per_chunk=max(1, options.tokens_per_chunk),
        output_tokens_median=options.output_tokens,
        fault_rates=rates,
        slow_ms=options.slow_ms,
        retry_after_seconds=options.retry_after,
        requests_per_minute=options.requests_per_minute,
        api_keys=frozenset(options.api_key),
        ledger_file=options.ledger,
        seed=options.seed,
    )
    serve(settings, options.host, options.port)
    return 0


def _fault_rates(given: Sequence[str]) -> dict[str, float]:
    rates = {kind: float(share or "nan") for kind, _, share in (one.partition("=") for one in given)}
    check_rates(rates)
    return rates


_TRAFFIC_EPILOG = (
    "Prints one JSON line when the first calls are under way and one with the outcomes at the end. "
    "Ends with 0 on SIGTERM and SIGINT. Without --providers all calls go through the gateway."
)


def _add_traffic(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_traffic)
    parser.add_argument("--gateway", required=True, metavar="URL", help="a taximeter: its gateway and its ingest")
    parser.add_argument("--key", required=True, help="a taximeter key for the gateway (and for ingest)")
    parser.add_argument("--ingest-key", metavar="KEY", help="the key for the SDK's events, when it is another one")
    parser.add_argument("--providers", metavar="URL", help="the simulated providers, for calls made through the SDK")
    parser.add_argument("--provider-key", default="sk-simulated", metavar="KEY", help="the key they are given")
    parser.add_argument("--rate", type=float, default=3, help="calls a second, on average (%(default)s)")
    parser.add_argument("--seconds", type=float, help="stop by itself after this long")
    parser.add_argument("--history", action="store_true", help="post the invented past as well, meanwhile")
    parser.add_argument("--data", type=Path, help="where the SDK keeps events until they are delivered")
    parser.add_argument("--seed", type=int, help="make the visits repeat")


def _add_history(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_history)
    parser.add_argument("--url", required=True, help="a taximeter")
    parser.add_argument("--key", required=True, help="a key with the scope ingest")
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--calls-per-day", type=int, default=15_000)


def _traffic(options: argparse.Namespace) -> int:
    from taximeter.simulator.traffic.running import Plan, drive

    if options.rate <= 0:
        raise ValueError("--rate must be more than 0")
    plan = Plan(
        gateway_url=options.gateway.rstrip("/"),
        key=options.key,
        ingest_key=options.ingest_key or options.key,
        providers_url=options.providers and options.providers.rstrip("/"),
        provider_key=options.provider_key,
        rate=options.rate,
        seconds=options.seconds,
        with_history=options.history,
        data=options.data,
        seed=options.seed,
    )
    return drive(plan)


def _history(options: argparse.Namespace) -> int:
    from taximeter.simulator.traffic.running import back_fill

    back_fill(options.url.rstrip("/"), options.key, options.days, options.calls_per_day)
    return 0


if __name__ == "__main__":
    sys.exit(main())
