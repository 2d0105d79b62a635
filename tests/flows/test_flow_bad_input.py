"""Bad input, by the clients that people use: the answer says what was wrong, and the good part is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
from standing import Standing, eventually, free_port

from taximeter.clock import SystemClock, rfc3339
from taximeter.core.ids import uuid7
from taximeter.simulator.running import RunningSimulator

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
HAIKU = "claude-haiku-4-5-20251001"


def chat(gpt: openai.OpenAI, headers: Mapping[str, str] | None = None, *, stream: bool = False) -> Any:
    answer: Any = gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=stream, extra_headers=headers)
    return list(answer) if stream else answer


def message(claude: anthropic.Anthropic, **headers: str) -> Any:
    return claude.messages.create(model=HAIKU, max_tokens=5, messages=HELLO, extra_headers=headers)


@pytest.mark.parametrize("key", ["sk-wrong", "tm_wrong"])
def test_a_wrong_key_is_the_providers_own_401(standing: Standing, key: str) -> None:
    with standing.gpt(api_key=key, max_retries=0) as gpt, pytest.raises(openai.AuthenticationError) as of_gpt:
        chat(gpt)
    with (
        standing.claude(api_key=key, max_retries=0) as claude,
        pytest.raises(anthropic.AuthenticationError) as of_claude,
    ):
        message(claude)
    assert of_gpt.value.code == "invalid_api_key"
    body: Any = of_claude.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/anthropic/v1/messages"])
def test_a_missing_key_is_a_401(standing: Standing, path: str) -> None:
    answer = httpx.post(standing.url + path, json={"model": "m", "messages": HELLO})
    assert (answer.status_code, "key" in answer.json()["error"]["message"]) == (401, True)


def test_a_key_of_another_scope_does_not_open_the_gateway(standing: Standing) -> None:
    with standing.gpt(api_key=standing.key("read"), max_retries=0) as gpt, pytest.raises(openai.PermissionDeniedError):
        chat(gpt)


@pytest.mark.parametrize("path", ["/nobody/v1", "/v1", ""])
def test_an_unknown_provider_is_a_404_that_names_the_known_ones(standing: Standing, path: str) -> None:
    with standing.gpt(base_url=standing.url + path, max_retries=0) as gpt, pytest.raises(openai.NotFoundError) as said:
        chat(gpt)
    assert "openai" in said.value.response.text
    assert "anthropic" in said.value.response.text


def test_a_path_the_provider_does_not_know_is_its_own_404(standing: Standing) -> None:
    with standing.gpt(max_retries=0) as gpt, pytest.raises(openai.NotFoundError, match="Invalid URL"):
        gpt.post("/nothing", cast_to=object)


def good_event(number: int, **more: Any) -> dict[str, Any]:
    now_us = SystemClock().now_us()
    return {
        "event_id": uuid7(now_us // 1000, number.to_bytes(10, "big")),
        "started_at": rfc3339(now_us),
        "provider": "openai",
        "request_model": "gpt-4o",
        "status": "ok",
        "feature": "mixed",
        "input_tokens": 10,
        "output_tokens": 5,
        **more,
    }


def test_malformed_events_are_named_and_the_good_ones_kept(standing: Standing) -> None:
    batch: list[Any] = [
        good_event(1),
        good_event(2, cache_read_tokens=11),
        good_event(3, started_at="yesterday"),
        "not an object",
        good_event(4, event_id="not an id"),
        good_event(5, input_tokens=-1),
        good_event(6),
    ]
    answer = standing.post("/v1/events", batch, "ingest")
    said = answer.json()
    assert (answer.status_code, said["accepted"], said["duplicates"]) == (202, 2, 0)
    assert [one["index"] for one in said["rejected"]] == [1, 2, 3, 4, 5]
    assert all(one["code"] and one["message"] for one in said["rejected"])
    assert eventually(lambda: standing.calls(feature="mixed"), lambda n: n >= 2) == 2


def test_what_is_no_json_at_all_is_refused(standing: Standing) -> None:
    headers = {"Authorization": f"Bearer {standing.key('ingest')}", "Content-Type": "application/json"}
    answer = httpx.post(standing.url + "/v1/events", content=b"{", headers=headers)
    said = answer.json()
    assert answer.status_code in (202, 400, 422)
    assert said.get("error") or said["rejected"]


def test_a_body_too_large_is_a_413(standing: Standing) -> None:
    long: list[Any] = [{"role": "user", "content": "x" * 30_000}]
    with standing.gpt(max_retries=0) as gpt, pytest.raises(openai.APIStatusError) as of_gpt:
        gpt.chat.completions.create(model="gpt-4o", messages=long)
    with standing.claude(max_retries=0) as claude, pytest.raises(anthropic.APIStatusError) as of_claude:
        claude.messages.create(model=HAIKU, max_tokens=5, messages=long)
    of_ingest = standing.post("/v1/events", [good_event(n) for n in range(10, 400)], "ingest")
    assert (of_gpt.value.status_code, of_claude.value.status_code, of_ingest.status_code) == (413, 413, 413)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["broken_json", "empty", "cut", "stream_error"])
def test_what_the_provider_spoils_arrives_as_it_came_and_is_recorded(
    standing: Standing, simulator: RunningSimulator, fault: str, stream: bool
) -> None:
    tag = f"{fault}-{stream}"
    wish = {"X-Simulator-Fault": fault, "X-Simulator-Cut-After-Tokens": "3", "X-Simulator-Output-Tokens": "9"}

    def outcome(gpt: openai.OpenAI, **more: str) -> object:
        try:
            answer = chat(gpt, {**wish, **more}, stream=stream)
        except (openai.APIError, ValueError) as error:
            return type(error)
        return len(answer) if stream else "whole"

    with openai.OpenAI(base_url=simulator.openai_url, api_key="k", max_retries=0) as direct:
        expected = outcome(direct)
    with standing.gpt(max_retries=0) as gpt:
        assert outcome(gpt, **{"X-Taximeter-Feature": tag}) == expected
    (event,) = eventually(lambda: standing.events(feature=tag), bool)
    assert (event["http_status"], event["request_model"]) == (200, "gpt-4o")
    if fault == "cut" or (fault == "stream_error" and stream):
        assert event["status"] in ("error", "interrupted"), event
    if event.get("cost_usd") is not None and fault != "stream_error":
        assert event.get("usage_estimated"), event


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("rate_limit", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("bad_request", openai.BadRequestError),
        ("unauthorized", openai.AuthenticationError),
        ("not_found", openai.NotFoundError),
    ],
)
def test_the_providers_refusals_pass_through_and_are_recorded(
    standing: Standing, fault: str, raised: type[openai.APIStatusError]
) -> None:
    with standing.gpt(max_retries=0) as gpt, pytest.raises(raised) as caught:
        chat(gpt, {"X-Simulator-Fault": fault, "X-Taximeter-Feature": f"refused-{fault}"})
    assert caught.value.response.headers["x-request-id"].startswith("req_")
    (event,) = eventually(lambda: standing.events(feature=f"refused-{fault}"), bool)
    assert (event["status"], event["http_status"]) == ("error", caught.value.status_code)
    assert event.get("error_type")


def test_a_provider_that_resets_the_connection_is_a_502_and_recorded(standing: Standing) -> None:
    with standing.gpt(max_retries=0) as gpt, pytest.raises(openai.InternalServerError) as caught:
        chat(gpt, {"X-Simulator-Fault": "reset", "X-Taximeter-Feature": "reset"})
    assert caught.value.status_code in (502, 503)
    (event,) = eventually(lambda: standing.events(feature="reset"), bool)
    assert event["status"] == "error"


def test_each_retry_of_a_client_is_an_attempt_of_its_own(standing: Standing) -> None:
    with standing.gpt(max_retries=2) as gpt:
        wish = {"X-Simulator-Fault": "rate_limit", "X-Simulator-Fault-Attempts": "1", "X-Taximeter-Feature": "retried"}
        assert chat(gpt, wish).choices
    events = eventually(lambda: standing.events(feature="retried"), lambda found: len(found) >= 2)
    assert sorted((event["attempt"], event["status"]) for event in events) == [(1, "error"), (2, "ok")]


def test_a_second_process_on_the_directory_names_the_first_one(standing: Standing) -> None:
    said = standing.command("up", "--data", str(standing.data), "--port", str(free_port()))
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert str(standing.pid) in said.stderr


def test_a_bad_configuration_says_all_its_mistakes_at_once(standing: Standing, tmp_path: Path) -> None:
    config = tmp_path / "bad.yaml"
    config.write_text("providers:\n  openai: {base_url: ftp://x}\nserver: {port: many}\nlimts: []\n")
    for command in (["up", "--data", str(tmp_path / "data"), "--config"], ["check"]):
        said = standing.command(*command, str(config))
        told = said.stdout + said.stderr
        assert said.returncode == 2, told
        assert all(word in told for word in ("base_url", "port", "limts")), told
        assert "Traceback" not in told


def test_a_mistyped_command_is_one_line_and_exit_2(standing: Standing) -> None:
    said = standing.command("report", "--by", "nonsense", "--data", str(standing.data))
    assert (said.returncode, len(said.stderr.splitlines())) == (2, 1)
