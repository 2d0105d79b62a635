"""An invented past: the product's last days as events, for charts that would otherwise begin empty.

Time is a grid of ten-minute slots; what happened in a slot depends on the slot alone. So a second back-fill brings
the same events with the same ids, which count once, and one that comes later adds only what is new.
"""

from __future__ import annotations

import hashlib
import http.client
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from taximeter.clock import rfc3339, to_datetime
from taximeter.core.attribution import DIMENSIONS
from taximeter.core.ids import RANDOM_BYTES, uuid7
from taximeter.core.outcome import OUTCOME
from taximeter.errors import UnavailableError
from taximeter.pricing.priceable import parse_instant
from taximeter.simulator.openai_models import SNAPSHOTS, reasons, served_tier, writes_are_reported
from taximeter.simulator.traffic.product import GOALS, PROVIDER_OF, Visit, drawn_visit
from taximeter.simulator.traffic.rhythm import MEAN_LOAD, weights_at

SLOT_US: Final = 600 * 1_000_000
DAYS: Final = 7
CALLS_PER_DAY: Final = 15_000
BATCH_EVENTS: Final = 500
TIMEOUT_SECONDS: Final = 30
SLOTS_PER_DAY: Final = 24 * 6

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BackFill:
    """What the server said to all batches together."""

    accepted: int
    duplicates: int
    rejected: int


def history(until_us: int, days: int = DAYS, calls_per_day: int = CALLS_PER_DAY) -> Iterator[Record]:
    """The events of the last `days`, up to the last slot that is over at `until_us`, oldest first."""
    last = until_us // SLOT_US
    for slot in range(last - days * SLOTS_PER_DAY, last):
        yield from _slot_events(slot, calls_per_day)


def outcome_of(event: Record) -> Record | None:
    """What a call led to, as its id draws it: the same for the same event."""
    goal = GOALS[event["feature"]]
    if goal is None or event["status"] != "ok":
        return None
    drawn = hashlib.blake2b(event["event_id"].encode(), digest_size=RANDOM_BYTES).digest()
    if Random(drawn).random() >= goal.share:  # noqa: S311 - invented, not secret
        return None
    at_ms = parse_instant(event["started_at"]) // 1000
    outcome: Record = {
        "record": OUTCOME,
        "outcome_id": uuid7(at_ms, drawn),
        "occurred_at": event["started_at"],
        "name": goal.name,
        **{name: event[name] for name in ("source", *DIMENSIONS, "tags") if name in event},
    }
    return outcome if goal.value_usd is None else outcome | {"value_usd": goal.value_usd}


def _with_outcomes(events: Iterable[Record]) -> Iterator[Record]:
    for event in events:
        yield event
        if (outcome := outcome_of(event)) is not None:
            yield outcome


def _slot_events(slot: int, calls_per_day: int) -> list[Record]:
    chance = Random(f"taximeter sample {slot}")  # noqa: S311 - invented, not secret
    weights = weights_at(to_datetime(slot * SLOT_US))
    expected = calls_per_day / SLOTS_PER_DAY * sum(weights) / MEAN_LOAD
    calls = _poisson(expected, chance)
    starts = sorted(slot * SLOT_US + chance.randrange(SLOT_US) for _ in range(calls))
    return [
        _event(drawn_visit(chance, weights), started_at_us, f"{slot}/{number}", chance)
        for number, started_at_us in enumerate(starts)
    ]


def _poisson(mean: float, chance: Random) -> int:
    bound, product, count = math.exp(-mean), chance.random(), 0
    while product > bound:
        product *= chance.random()
        count += 1
    return count


def _event(visit: Visit, started_at_us: int, name: str, chance: Random) -> Record:
    noise = hashlib.blake2b(name.encode(), digest_size=RANDOM_BYTES).digest()
    feature = visit.feature
    record: Record = {
        "event_id": uuid7(started_at_us // 1000, noise),
        "started_at": rfc3339(started_at_us),
        "provider": PROVIDER_OF[feature.api],
        "request_model": visit.model,
        "operation": "embeddings" if feature.api == "embeddings" else "chat",
        "user_id": visit.user,
        "team": feature.team,
        "tenant": visit.tenant,
        "feature": feature.name,
        "endpoint": feature.endpoint,
        "environment": visit.environment,
        "service": "helpdesk",
        "prompt_version": visit.prompt_version,
        "session_id": visit.session,
        "tags": {"sample": "history"},
    }
    if visit.fault is not None and visit.fault != "cut":
        return record | _failure(visit.fault, chance)
    return record | _success(visit, chance)


_FAILURES: Final = {
    "rate_limit": (429, "rate_limit_exceeded"),
    "overloaded": (503, "overloaded_error"),
    "server_error": (500, "server_error"),
    "bad_request": (400, "invalid_request_error"),
}


def _failure(fault: str, chance: Random) -> Record:
    status, kind = _FAILURES[fault]
    return {
        "status": "error",
        "http_status": status,
        "error_type": kind,
        "duration_ms": round(chance.uniform(30, 200), 3),
        "not_billed": True,
    }


def _success(visit: Visit, chance: Random) -> Record:
    feature = visit.feature
    openai = PROVIDER_OF[feature.api] == "openai"
    first_token_ms = 300 * math.exp(chance.gauss(0, 0.4))
    output = visit.output_words + (thoughts := _thoughts(visit, chance))
    success: Record = {
        "status": "ok",
        "http_status": 200,
        "response_model": SNAPSHOTS.get(visit.model, visit.model),
        "duration_ms": round(first_token_ms + output * 8, 3),
        "input_tokens": visit.prompt_words + feature.cached_words,
        "output_tokens": output,
        **_cache(visit, chance),
    }
    if visit.streamed:
        success["time_to_first_token_ms"] = round(first_token_ms, 3)
    if thoughts:
        success["reasoning_tokens"] = thoughts
    if openai and feature.api != "embeddings":
        success["service_tier"] = served_tier(feature.service_tier)
    return success


def _thoughts(visit: Visit, chance: Random) -> int:
    if visit.feature.thinks or reasons(visit.model, None):
        return round(180 * math.exp(chance.gauss(0, 0.6)))
    return 0


def _cache(visit: Visit, chance: Random) -> Record:
    fixed = visit.feature.cached_words
    if not fixed:
        return {}
    if chance.random() < 0.82:
        return {"cache_read_tokens": fixed}
    reported = PROVIDER_OF[visit.feature.api] == "anthropic" or writes_are_reported(visit.model)
    return {"cache_write_5m_tokens": fixed} if reported else {}


def post_history(url: str, key: str, until_us: int, days: int = DAYS, calls_per_day: int = CALLS_PER_DAY) -> BackFill:
    """Send the invented past, and what it led to, to `POST {url}/v1/events`.

    Raises UnavailableError when the server does not take it.
    """
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port or 80, timeout=TIMEOUT_SECONDS)
    records = _with_outcomes(history(until_us, days, calls_per_day))
    accepted = duplicates = rejected = 0
    try:
        while batch := list(islice(records, BATCH_EVENTS)):
            answer = _posted(connection, where.path.rstrip("/"), key, batch)
            accepted += answer["accepted"]
            duplicates += answer["duplicates"]
            rejected += len(answer["rejected"])
    except OSError as error:
        raise UnavailableError(f"{url} does not answer: {error}", hint="is taximeter up?") from error
    finally:
        connection.close()
    return BackFill(accepted, duplicates, rejected)


def _posted(connection: http.client.HTTPConnection, base: str, key: str, batch: list[Record]) -> Any:
    body = b"\n".join(msgspec.json.encode(event) for event in batch)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    connection.request("POST", base + "/v1/events", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 202:
        raise UnavailableError(f"the server answered {answer.status}: {said[:200].decode(errors='replace')}")
    return msgspec.json.decode(said)
