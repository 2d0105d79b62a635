"""An application whose taximeter is in trouble: `harmed_host.py TROUBLE PROVIDERS_URL`.

Makes the same calls with plain clients and with instrumented ones and prints both outcomes as JSON: they must be
equal. Answers are recordings, so that equal means equal.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai

import taximeter

HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def calls(gpt: openai.OpenAI, claude: anthropic.Anthropic) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Named calls, each read to its end."""

    def chat(**headers: str) -> Any:
        return gpt.chat.completions.create(model="gpt-4o", messages=HELLO, extra_headers=headers)

    def chat_stream(**headers: str) -> Any:
        return list(gpt.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True, extra_headers=headers))

    def message(**headers: str) -> Any:
        return claude.messages.create(model="claude-opus-5", max_tokens=9, messages=HELLO, extra_headers=headers)

    def message_stream(**headers: str) -> Any:
        with claude.messages.stream(
            model="claude-opus-5", max_tokens=9, messages=HELLO, extra_headers=headers
        ) as stream:
            return stream.get_final_message()

    yield "chat", lambda: chat(**{"X-Simulator-Case": "openai-chat-reasoning-gpt5mini"})
    yield "chat stream", lambda: chat_stream(**{"X-Simulator-Case": "openai-chat-stream-no-usage"})
    yield "message", lambda: message(**{"X-Simulator-Case": "anthropic-cache-read-opus48"})
    yield "message stream", lambda: message_stream(**{"X-Simulator-Case": "anthropic-stream-basic"})
    for fault in ("rate_limit", "bad_request", "unauthorized", "overloaded", "reset", "empty", "broken_json"):
        yield f"chat {fault}", lambda fault=fault: chat(**{"X-Simulator-Fault": fault})  # type: ignore[misc]
        yield f"message {fault}", lambda fault=fault: message(**{"X-Simulator-Fault": fault})  # type: ignore[misc]
    for fault in ("cut", "stream_error"):
        wish = {"X-Simulator-Fault": fault, "X-Simulator-Cut-After-Tokens": "3", "X-Simulator-Output-Tokens": "8"}
        yield f"chat stream {fault}", lambda wish=wish: chat_stream(**wish)  # type: ignore[misc]
        yield f"message stream {fault}", lambda wish=wish: message_stream(**wish)  # type: ignore[misc]


def outcome(call: Callable[[], Any]) -> Any:
    """The answer, or what was raised."""
    try:
        answer = call()
    except Exception as error:
        return [type(error).__name__, getattr(error, "status_code", None), type(error.__cause__).__name__]
    if isinstance(answer, list):
        return [part.model_dump(mode="json") for part in answer]
    return answer.model_dump(mode="json")


def clients(url: str) -> tuple[openai.OpenAI, anthropic.Anthropic]:
    gpt = openai.OpenAI(base_url=url + "/v1", api_key="k", max_retries=0)
    return gpt, anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)


def fail(*_arguments: object, **_named: object) -> None:
    raise RuntimeError("a bug in taximeter")


def inject_bugs() -> None:
    """Break the parts that meter a call."""
    from taximeter.sdk import call

    for name in ("as_record", "rfc3339", "estimated_tokens"):
        setattr(call, name, fail)
    call.Call.took = fail  # type: ignore[method-assign]


def get_into(trouble: str) -> None:
    if trouble == "bug":
        inject_bugs()
    if trouble == "disk full":
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))


def main(trouble: str, url: str) -> None:
    plain = {name: outcome(call) for name, call in calls(*clients(url))}
    get_into(trouble)
    taximeter.init(service="harmed")
    gpt, claude = clients(url)
    with taximeter.attribute(user="u", feature="f"):
        metered = calls(taximeter.instrument(gpt), taximeter.instrument(claude))
        seen = {name: outcome(call) for name, call in metered}
    sys.stdout.write(json.dumps({"plain": plain, "metered": seen}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
