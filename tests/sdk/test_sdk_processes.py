"""Forks, event loops in several threads, and functions that are frozen when they return."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from mistralai.client import Mistral
from replay import Answer, Provider, Written, case

import taximeter
from taximeter.simulator.running import RunningSimulator
from taximeter.simulator.settings import Settings
from taximeter.spool import adopt


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with RunningSimulator(Settings(output_tokens_median=5)) as running:
        yield running


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_workers_forked_from_an_instrumented_process_count_their_own_calls(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    """As gunicorn and Celery do it: the application is imported, then the workers are forked."""
    done = run(
        f"""
        import os, sys, boto3, openai, taximeter
        taximeter.init(service="app")
        taximeter.instrument_all()

        def work(name):
            with taximeter.attribute(user=name):
                with openai.OpenAI(base_url="{simulator.openai_url}", api_key="k") as gpt:
                    gpt.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": "a b"}}])
                bedrock = boto3.client("bedrock-runtime", region_name="eu-west-1", endpoint_url="{simulator.url}",
                                       aws_access_key_id="k", aws_secret_access_key="s")
                bedrock.converse(modelId="m", messages=[{{"role": "user", "content": [{{"text": "a b c"}}]}}])

        work("parent")
        workers = []
        for name in ("one", "two"):
            pid = os.fork()
            if pid == 0:
                work(name)
                sys.exit()
            workers.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in workers] == [0, 0]
        """,
        TAXIMETER_DATA=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    events = Written(tmp_path).events
    assert Counter((event["user_id"], event["provider"]) for event in events) == {
        (name, provider): 1 for name in ("parent", "one", "two") for provider in ("openai", "aws")
    }
    assert len({event["event_id"] for event in events}) == 6


def test_a_worker_forked_while_a_thread_asks_a_limit_may_ask_as_well() -> None:
    done = run(
        """
        import os, signal
        from taximeter.limits.counters.memory import MemoryCounters

        counters = MemoryCounters()
        counters._lock.acquire()  # as a thread has it that the child does not have
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            os._exit(0 if counters.reserve("a", (), now_us=1, expires_us=2) is None else 1)
        assert os.waitpid(pid, 0)[1] == 0
        counters._lock.release()
        if os.fork() == 0:
            os._exit(0)
        assert not counters._lock.locked()
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_killed_process_has_its_answered_calls_and_those_that_lasted(provider: Provider, tmp_path: Path) -> None:
    provider.says(case("openai-chat-cached-4omini"))
    provider.answers.append(replace(provider.answers[0], pause_after=10))
    code = f"""
        import openai, taximeter
        client = taximeter.instrument(openai.OpenAI(base_url="{provider.url}", api_key="k"))
        for user in ("answered", "waiting"):
            with taximeter.attribute(user=user):
                client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "?"}}])
        """
    environment = {"PATH": "", "TAXIMETER_DATA": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], env=environment) as process:
        written, ends = Written(tmp_path), time.monotonic() + 100
        while not any(begun["user_id"] == "waiting" for begun in written.begun) and time.monotonic() < ends:
            time.sleep(0.02)
        process.kill()
    adopt(tmp_path / "spool")
    assert [(event["user_id"], event["status"]) for event in written.events] == [
        ("answered", "ok"),
        ("waiting", "interrupted"),
    ]


def test_a_killed_process_leaves_what_runs_in_the_background_to_the_answer_that_is_fetched(
    provider: Provider, tmp_path: Path
) -> None:
    response = {"id": "resp_1", "object": "response", "model": "o3-pro", "background": True, "output": []}
    created = {"type": "response.created", "response": {**response, "status": "queued", "usage": None}}
    done = {**response, "status": "completed", "usage": {"input_tokens": 40, "output_tokens": 900}}
    begins = f"event: response.created\ndata: {json.dumps(created)}\n\n".encode()
    provider.answers = [
        Answer(body=begins + b": never sent", content_type="text/event-stream", pause_after=len(begins)),
        Answer(body=json.dumps(done).encode()),
    ]
    client = f"""
        import openai, taximeter
        client = taximeter.instrument(openai.OpenAI(base_url="{provider.url}", api_key="k"))
        """
    streams = client + "list(client.responses.create(model='o3-pro', input='why', background=True, stream=True))"
    environment = {"PATH": "", "TAXIMETER_DATA": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(streams)], env=environment) as process:
        written, ends = Written(tmp_path), time.monotonic() + 100
        while not written.begun and time.monotonic() < ends:
            time.sleep(0.02)
        process.kill()
    adopt(tmp_path / "spool")
    fetches = run(client + "client.responses.retrieve('resp_1')", TAXIMETER_DATA=str(tmp_path))
    assert fetches.returncode == 0, fetches.stderr
    killed, fetched = written.events
    assert (killed["status"], killed["not_billed"]) == ("interrupted", True)
    assert "input_tokens" not in killed
    assert "output_tokens" not in killed
    assert (fetched["status"], fetched["input_tokens"], fetched["output_tokens"]) == ("ok", 40, 900)


def test_a_forked_child_that_drops_its_parents_stream_says_nothing_of_it(
    simulator: RunningSimulator, tmp_path: Path
) -> None:
    done = run(
        f"""
        import os, openai, taximeter
        client = taximeter.instrument(openai.OpenAI(base_url="{simulator.openai_url}", api_key="k"))
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{{"role": "user", "content": "a b"}}], stream=True)
        next(stream)
        pid = os.fork()
        if pid == 0:
            del stream
            taximeter.flush()
            os._exit(0)
        os.waitpid(pid, 0)
        list(stream)
        """,
        TAXIMETER_DATA=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    assert [event["status"] for event in Written(tmp_path).events] == ["ok"]


def test_event_loops_in_several_threads_keep_their_calls_apart(simulator: RunningSimulator, written: Written) -> None:
    async def gpt(words: int) -> None:
        async with taximeter.instrument(openai.AsyncOpenAI(base_url=simulator.openai_url, api_key="k")) as client:
            await client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "word " * words}]
            )

    async def mistral(words: int) -> None:
        async with taximeter.instrument(Mistral(api_key="k", server_url=simulator.url + "/mistral")) as client:
            stream = await client.chat.stream_async(
                model="mistral-small-latest", messages=[{"role": "user", "content": "word " * words}]
            )
            async for _ in stream:
                pass

    async def all_of(thread: int) -> None:
        calls = (way(10 * thread + number) for number in range(1, 6) for way in (gpt, mistral))
        await asyncio.gather(*calls)

    def loop(thread: int) -> None:
        with taximeter.attribute(user=f"thread-{thread}"):
            asyncio.run(all_of(thread))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(loop, range(3)))
    assert len(written.events) == 30
    for event in written.events:
        assert event["user_id"] == f"thread-{event['input_tokens'] // 10}"
        assert (event["status"], event["attempt"]) == ("ok", 1)


def test_a_function_that_flushes_before_it_returns_loses_nothing_when_it_is_never_woken_again(
    provider: Provider, tmp_path: Path
) -> None:
    provider.says(case("openai-chat-cached-4omini"))
    done = run(
        f"""
        import os, signal, openai, taximeter
        client = taximeter.instrument(openai.OpenAI(base_url="{provider.url}/elsewhere", api_key="k"))

        def handler(event, context):
            try:
                client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": "?"}}])
            finally:
                taximeter.flush(timeout_seconds=80)

        handler({{}}, None)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        TAXIMETER_DATA=str(tmp_path),
        TAXIMETER_URL=provider.url,
        TAXIMETER_KEY="k",
    )
    assert done.returncode == -9, done.stderr
    (event,) = [line for line in provider.shipped if "record" not in line]
    assert event["status"] == "ok"


def test_a_stream_that_is_open_when_the_program_ends_is_one_call_and_nothing_is_said(
    provider: Provider, tmp_path: Path
) -> None:
    """What the interpreter drops at its very end comes when modules can no longer be imported."""
    provider.says(case("openai-chat-stream-usage"))
    done = run(
        f"""
        import openai, taximeter
        client = taximeter.instrument(openai.OpenAI(base_url="{provider.url}", api_key="k"))
        messages = [{{"role": "user", "content": "?"}}]
        stream = client.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
        next(iter(stream))
        """,
        TAXIMETER_DATA=str(tmp_path),
    )
    assert (done.returncode, done.stderr) == (0, "")
    adopt(tmp_path / "spool")
    assert [event["status"] for event in Written(tmp_path).events] == ["interrupted"]
