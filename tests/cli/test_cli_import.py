"""`taximeter import`: without a server and with one, twice, and only looking."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zstandard
from running_server import COMMAND, environment, eventually, running, taximeter

SAMPLES = Path(__file__).parents[1] / "ingest_imports" / "samples"
EVER = ("--since", "2025-01-01", "--until", "2027-01-01")


def imported(*arguments: str | Path, code: int = 0, **variables: str) -> Any:
    done = taximeter("import", *map(str, arguments), "--json", **variables)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def reported(data: Path, *arguments: str) -> Any:
    done = taximeter("report", *EVER, "--data", str(data), "--format", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_dry_run_tells_what_would_come_and_keeps_nothing(tmp_path: Path) -> None:
    told = imported(SAMPLES / "openai-usage.json", "--dry-run", "--data", tmp_path / "data", code=1)
    assert (told["events"], told["new"], told["from"]) == (3, None, "2025-10-15T00:00:00.000000Z")
    assert [row["model"] for row in told["models"]][:1] == ["gpt-4.1-2025-04-14"]
    assert told["rejected"] == {"input_tokens is no number": 1}
    assert not (tmp_path / "data").exists()


def test_twice_is_once_and_the_totals_are_those_of_the_file(tmp_path: Path) -> None:
    asked = (SAMPLES / "litellm.json", SAMPLES / "litellm.csv", "--data", tmp_path)
    first = imported(*asked)
    assert (first["events"], first["new"], first["repeated"]) == (4, 4, 1)
    assert imported(*asked)["new"] == 0
    answer = reported(tmp_path, "--by", "source", "--measures", "calls,input_tokens,output_tokens")
    assert answer["rows"] == [{"source": "import", "calls": 4, "input_tokens": 11624, "output_tokens": 210}]


def test_a_row_of_many_calls_is_priced_at_the_size_of_one(tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text("date,model,provider,input_tokens,output_tokens,requests\n2025-06-01,gemini-2.5-pro,google,")
    one = tmp_path / "one.csv"
    one.write_text(calls.read_text() + "100000,0,1\n")
    calls.write_text(calls.read_text() + "100000000,0,1000\n")
    single, many = (imported(path, "--dry-run")["models"][0] for path in (one, calls))
    assert float(many["cost_usd"]) == pytest.approx(1000 * float(single["cost_usd"]))


def test_a_folder_of_transcripts_is_taken_in_and_the_rest_of_it_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "projects" / "shop"
    folder.mkdir(parents=True)
    transcript = (SAMPLES / "claude-code.jsonl").read_text()
    (folder / "one.jsonl").write_text(transcript)
    (folder / "resumed.jsonl").write_text(transcript)
    (folder / "settings.json").write_text('{"theme": "dark"}')
    (folder / "notes.txt").write_text("none of ours")
    told = imported(tmp_path / "projects", "--data", tmp_path / "data", code=1)
    assert (told["formats"], told["new"], told["repeated"]) == ({"claude-code": 2}, 2, 2)
    assert told["skipped"]["no format that is known"] == 1


def test_what_agents_of_a_session_repeat_of_it_is_told_of_the_session(tmp_path: Path) -> None:
    transcript = (SAMPLES / "claude-code.jsonl").read_text()
    agents = tmp_path / "projects" / "session" / "subagents"
    agents.mkdir(parents=True)
    (agents / "agent-1.jsonl").write_text(transcript.replace('"isSidechain":false', '"isSidechain":true'))
    (tmp_path / "projects" / "session.jsonl").write_text(transcript)
    assert imported(tmp_path / "projects", "--data", tmp_path, code=1)["repeated"] == 2
    answer = reported(tmp_path, "--by", "tags.sidechain", "--measures", "output_tokens")
    assert {row["tags.sidechain"]: row["output_tokens"] for row in answer["rows"]} == {None: 412, "true": 20}


@pytest.mark.parametrize(
    "content", ["", "[]", '{"object":"page","data":[],"has_more":false}', "timestamp,model,cost\n"]
)
def test_a_file_without_rows_is_no_mistake(tmp_path: Path, content: str) -> None:
    (tmp_path / "nothing").write_text(content)
    told = imported(tmp_path / "nothing", "--data", tmp_path / "data")
    assert (told["events"], told["skipped"]) == (0, {"a file without rows": 1})


def test_a_file_that_cannot_be_opened_stops_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv.zip").write_bytes(b"PK\x03\x04 and no more")
    (tmp_path / "b.csv").write_text((SAMPLES / "openrouter.csv").read_text())
    told = imported(tmp_path, "--data", tmp_path / "data", code=1)
    assert (told["new"], told["rejected"]) == (1, {"the file cannot be opened": 1})
    assert told["rejected_at"][0]["file"].endswith("a.csv.zip")


def test_rows_come_from_standard_input_and_from_packed_files_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "codex").mkdir()
    rows = (SAMPLES / "codex.jsonl").read_bytes()
    (tmp_path / "codex" / "rollout.jsonl.zst").write_bytes(zstandard.compress(rows))
    assert imported(tmp_path / "codex", "--data", tmp_path / "data")["new"] == 3
    asked = [*COMMAND, "import", "-", "--json", "--data", str(tmp_path / "data")]
    piped = json.loads(subprocess.run(asked, input=rows, env=environment(), capture_output=True, check=True).stdout)
    assert (piped["events"], piped["new"]) == (3, 0)


def test_it_works_while_the_server_runs(tmp_path: Path) -> None:
    asked = (SAMPLES / "helicone.csv", SAMPLES / "codex.jsonl")
    with running(tmp_path) as server:
        assert imported(*asked, "--data", tmp_path)["new"] == 4
        assert imported(*asked, "--url", server.url, TAXIMETER_KEY=server.first_key("ingest"))["new"] == 0
        wanted = [{"calls": 4, "input_tokens": 13400}]
        question = ("--by", "", "--measures", "calls,input_tokens")
        assert eventually(lambda: reported(tmp_path, *question)["rows"] == wanted)
    assert imported(*asked, "--data", tmp_path)["new"] == 0, "what the server took in is there without it"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing.csv",), 1, "there is no file nothing.csv"),
        (("--format", "excel", "SAMPLE"), 2, "there is no format 'excel'"),
        (("--map", "input_tokens", "SAMPLE"), 2, "not FIELD=COLUMN"),
        (("--map", "tokens=A", "SAMPLE"), 2, "there is no field 'tokens'"),
        (("TEXT",), 2, "no format that is known"),
        (("TEXT",), 2, "its columns (colour, shape) with --map started_at=COLUMN --map model=COLUMN"),
        (("EXEC",), 2, "import its session from ~/.codex/sessions"),
        (("EMPTY",), 1, "there is nothing to import"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.csv").write_text("colour,shape\nred,round\n")
    (tmp_path / "exec.jsonl").write_text('{"type":"thread.started","thread_id":"t"}\n{"type":"turn.completed"}\n')
    places = {"SAMPLE": SAMPLES / "openrouter.csv", "TEXT": tmp_path / "text.csv", "EMPTY": tmp_path / "empty"}
    places["EXEC"] = tmp_path / "exec.jsonl"
    done = taximeter("import", *(str(places.get(one, one)) for one in arguments), "--data", str(tmp_path / "data"))
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_people_are_told_what_came_and_what_did_not(tmp_path: Path) -> None:
    done = taximeter("import", str(SAMPLES / "openai-usage.json"), "--data", str(tmp_path))
    assert done.returncode == 1
    assert "OpenAI usage and cost: 3 events (3 new, 0 already there)" in done.stdout
    assert "1 left out: a bucket that may grow until" in done.stderr.replace("\n", " ")
    assert "openai-usage.json:1: input_tokens is no number: 'many'" in done.stderr.replace("\n", " ")
