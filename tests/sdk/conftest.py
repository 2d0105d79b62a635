from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from replay import Answer, Provider, Written, serve

import taximeter
from taximeter.sdk.call import Call
from taximeter.sdk.guard import GUARD
from taximeter.sdk.hosts import Host
from taximeter.sdk.instruments import stainless_call
from taximeter.sdk.meter import Meter

ClientFor = Callable[..., Any]


@pytest.fixture(scope="session")
def running_provider() -> Iterator[Provider]:
    prepared = Provider()
    server = serve(prepared)
    yield prepared
    server.shutdown()
    server.server_close()


@pytest.fixture
def provider(running_provider: Provider) -> Iterator[Provider]:
    running_provider.answers = [Answer()]
    running_provider.requests, running_provider.shipped, running_provider.ingest_keys = [], [], []
    running_provider.held = None
    running_provider.tells_usage_always = True
    running_provider.arrived, running_provider.go_on = threading.Event(), threading.Event()
    yield running_provider
    running_provider.go_on.set()


@pytest.fixture
def client_for() -> ClientFor:
    """A client of a library at a base URL, asynchronous or not. It reads no certificates, which is slow."""
    classes = {
        ("openai", False): (openai.OpenAI, openai.DefaultHttpxClient),
        ("openai", True): (openai.AsyncOpenAI, openai.DefaultAsyncHttpxClient),
        ("anthropic", False): (anthropic.Anthropic, anthropic.DefaultHttpxClient),
        ("anthropic", True): (anthropic.AsyncAnthropic, anthropic.DefaultAsyncHttpxClient),
    }

    def make(library: str, url: str, asynchronous: bool = False, **options: Any) -> Any:
        client, http = classes[library, asynchronous]
        return client(base_url=url, api_key="k", max_retries=0, http_client=http(verify=False), **options)

    return make


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """A meter that writes below `tmp_path`; at the end nothing of ours may have failed in the tests that use it."""
    taximeter.init(data=tmp_path)
    yield Written(tmp_path)
    taximeter.shutdown()
    assert not GUARD.failures


@pytest.fixture
def lasting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call counts as one that lasts: its begin record is written at once."""
    original = Call.leave

    def leave(call: Call, meter: Meter) -> None:
        original(call, meter)
        meter.spool.sync()

    monkeypatch.setattr(Call, "leave", leave)


@pytest.fixture(autouse=True)
def _fresh_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard of the process as after its start: nothing counted, nothing logged."""
    monkeypatch.setattr(GUARD, "failures", Counter())
    monkeypatch.setattr(GUARD, "_quiet_until", None)


@pytest.fixture(autouse=True)
def _no_host_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stainless_call, "_refusing", set())


@pytest.fixture
def known_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' provider stands for api.openai.com."""
    monkeypatch.setattr(stainless_call, "host_of", lambda *_: Host("openai"))
