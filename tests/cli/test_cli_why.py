"""`taximeter why`: the same answer from a server and from the files, and one that can be read."""

from __future__ import annotations

import json
from pathlib import Path

from running_server import eventually, running, taximeter

from taximeter.core.ids import uuid7

QUESTION = ("--since", "2026-11-03", "--until", "2026-11-04", "--against", "2026-11-02..2026-11-03")
CALLS = [
    {
        "event_id": uuid7(1_793_600_000_000 + number, bytes(10)),
        "started_at": f"2026-11-0{day}T06:13:{number:02d}Z",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 1000,
        "output_tokens": 500,
        "status": "ok",
        "feature": "chat",
        "user_id": user,
    }
    for number, (day, user) in enumerate([(2, "anna"), (2, "bert"), (3, "anna"), *[(3, "bert")] * 5])
]


def test_with_a_server_and_without_one_the_answer_is_the_same_and_exact(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as server:
        with server.client(server.first_key("ingest")) as client:
            assert client.post("/v1/events", json=CALLS).json()["accepted"] == len(CALLS)
        count = {"measures": ["calls"], "from": "2026-11-01", "to": "2026-11-05"}
        with server.client(server.local_token) as client:
            eventually(lambda: client.post("/api/v1/query", json=count).json()["totals"]["calls"] == len(CALLS))
        online = taximeter("why", *QUESTION, "--data", str(data), "--format", "json")
    offline = taximeter("why", *QUESTION, "--data", str(data), "--format", "json")
    assert online.returncode == offline.returncode == 0, online.stderr + offline.stderr
    answer = json.loads(online.stdout)
    assert answer == json.loads(offline.stdout)
    assert (answer["before_usd"], answer["after_usd"], answer["change_usd"]) == ("0.015", "0.045", "0.03")
    assert answer["factors"] == [{"factor": "volume", "change_usd": "0.03"}]
    assert (answer["contributors"][0]["dimension"], answer["contributors"][0]["value"]) == ("user_id", "bert")
    told = taximeter("why", *QUESTION, "--data", str(data)).stdout
    assert "+$0.030000 (+200.0%)" in told
    assert "more or fewer requests" in told
    assert "bert" in told


def test_a_wrong_comparison_is_one_line_and_exit_code_two(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = taximeter("why", "--against", "last-year", "--data", str(tmp_path / "data"))
    assert done.returncode == 2
    assert "against" in done.stderr
    assert "Traceback" not in done.stderr
