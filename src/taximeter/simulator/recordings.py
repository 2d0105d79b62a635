"""Answers that real providers once gave, replayed byte for byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec

from taximeter.core.usage import Usage

_EVENT_END = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True)
class Recording:
    """One case: what was asked, what came back, and the usage that a correct reader finds in it."""

    case_id: str
    provider: str
    api: str
    stream: bool
    request_body: Mapping[str, Any]
    request_path: str
    status: int
    content_type: str
    body: bytes
    expected: Mapping[str, Any]

    @property
    def billed(self) -> bool:
        return self.status < 400 and bool(self.expected.get("billable"))

    @cached_property
    def usage(self) -> Usage:
        said = self.expected
        short, long = said.get("cache_write_5m"), said.get("cache_write_1h")
        return Usage(
            input_tokens=said.get("input_tokens_total"),
            cache_read_tokens=said.get("cache_read"),
            cache_write_5m_tokens=said.get("cache_write_total") if short is None and long is None else short,
            cache_write_1h_tokens=long,
            output_tokens=said.get("output_tokens_total"),
            reasoning_tokens=said.get("reasoning"),
        )

    @cached_property
    def events(self) -> tuple[bytes, ...]:
        """The body cut after each server-sent event; its parts are exactly the body."""
        ends = [match.end() for match in _EVENT_END.finditer(self.body)]
        if not ends or ends[-1] != len(self.body):
            ends.append(len(self.body))
        return tuple(self.body[start:end] for start, end in zip([0, *ends], ends, strict=False))

    @cached_property
    def response_id(self) -> str | None:
        found = re.search(rb'"id":\s*"((?:chatcmpl|resp|msg)[^"]*)"', self.body)
        return found.group(1).decode() if found else None


class Shelf:
    """The recordings that ship with the simulator."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._by_id = {recording.case_id: recording for recording in recordings}

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._by_id.values())

    def named(self, case_id: str) -> Recording | None:
        return self._by_id.get(case_id)

    def fitting(self, api: str, model: str, stream: bool) -> Recording | None:
        """A good answer of this api: of this model if there is one, otherwise of any; None when there is none."""
        good = [r for r in self._by_id.values() if (r.api, r.stream) == (api, stream) and r.status == 200]
        same = [r for r in good if model in (r.expected.get("model"), r.request_body.get("model"))]
        return next(iter(same or good), None)


def shipped() -> Shelf:
    """All recordings in `simulator/answers/`."""
    folder = files("taximeter.simulator") / "answers"
    cases = sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name)
    return Shelf(recording_of(msgspec.json.decode(file.read_bytes())) for file in cases)


def recording_of(case: Mapping[str, Any]) -> Recording:
    """The recording in a case file."""
    request, response = case["request"], case["response"]
    return Recording(
        case_id=case["id"],
        provider=case["provider"],
        api=case["api"],
        stream=case["stream"],
        request_body=request.get("body") or {},
        request_path=request["path"],
        status=response["status"],
        content_type=response["headers"].get("content-type", "application/json"),
        body=response["body"].encode(),
        expected=case["expected"],
    )
