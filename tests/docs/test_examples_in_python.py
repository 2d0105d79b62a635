"""The Python of the README and the manual of the SDK, with the official clients and a simulated provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from anthropic import Anthropic
from documented_blocks import Block, of
from openai import OpenAI

import taximeter
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings
from taximeter.spool import SpoolReader

CALL = 'create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], max_tokens=20)'
"""What `create(...)` stands for."""


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(output_tokens_median=10)) as running:
        yield running


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    yield
    taximeter.shutdown()


def written(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in SpoolReader(data / "spool").read({}).lines]


def carried_out(block: Block, **given: Any) -> dict[str, Any]:
    names = {"taximeter": taximeter, "OpenAI": OpenAI, "Anthropic": Anthropic, **given}
    exec(compile(block.text.replace("create(...)", CALL), str(block), "exec"), names)
    return names


@pytest.mark.parametrize("page", ["README.md", "docs/sdk.md"])
def test_the_first_example_of_a_page_is_metered(
    page: str, provider: RunningSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", provider.url + "/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk")
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    monkeypatch.delenv("TAXIMETER_URL", raising=False)
    (example,) = (block for block in of(page, "python") if "instrument(" in block.text)
    carried_out(example)
    taximeter.shutdown()
    assert any((one.get("user_id"), one.get("feature")) == ("user_123", "smart-reply") for one in written(tmp_path))


def test_the_outcome_of_the_manual_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    monkeypatch.delenv("TAXIMETER_URL", raising=False)
    (example,) = of("docs/outcomes.md", "python")
    carried_out(example)
    taximeter.shutdown()
    (told,) = written(tmp_path)
    assert (told["record"], told["name"], Decimal(told["value_usd"])) == ("outcome", "ticket_solved", Decimal(4))


def test_clients_of_the_first_page_call_the_gateway() -> None:
    (example,) = (block for block in of("README.md", "python") if "base_url" in block.text)
    lines = [carried_out(Block(example.page, 0, "", line))["client"] for line in example.text.splitlines()]
    assert [str(client.base_url).rstrip("/") for client in lines] == [
        "http://127.0.0.1:8787/openai/v1", "http://127.0.0.1:8787/anthropic",
    ]  # fmt: skip


def test_limits_of_the_sdk_are_taken(
    provider: RunningSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAXIMETER_DATA", str(tmp_path))
    (example,) = of("docs/limits.md", "python")
    carried_out(example)
    client = taximeter.instrument(OpenAI(base_url=provider.url + "/v1", api_key="sk"))

    def ask(text: str) -> Any:
        messages: Any = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=20)

    with taximeter.attribute(user="ann"):
        assert ask("Hi").usage
        with pytest.raises(taximeter.LimitExceeded, match="monthly-tokens"):
            ask("more than a month has " * 100_000)


def test_the_handler_of_the_manual_sends_what_it_has() -> None:
    (example,) = (block for block in of("docs/sdk.md", "python") if "handler" in block.text)
    assert carried_out(example, answer=lambda event: event * 2)["handler"](21, None) == 42
