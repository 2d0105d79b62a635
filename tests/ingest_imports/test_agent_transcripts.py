"""Transcripts of coding agents as they come about: torn, interleaved, resumed, branched, forked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from import_rig import NOW_US

from taximeter.ingest.imports.engine import outcomes
from taximeter.ingest.imports.registry import format_named
from taximeter.ingest.imports.row import Draft, LeftOut, Options, Row

Line = Mapping[str, Any]

LONG_AGO = datetime(2026, 2, 3, 9, tzinfo=UTC)
JUST_NOW = datetime.fromtimestamp(NOW_US / 1_000_000 - 60, UTC)


def read(form: str, lines: Sequence[Line]) -> tuple[list[Mapping[str, Any]], list[str]]:
    """The events of a file, and why the rest was left out."""
    rows = [Row(place, line) for place, line in enumerate(lines, 1)]
    found = list(outcomes(rows, format_named(form), Options(NOW_US)))
    return [one.record for one in found if isinstance(one, Draft)], [
        one.reason for one in found if isinstance(one, LeftOut)
    ]


def at(started: datetime, seconds: float) -> str:
    return (started + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ── Claude Code ────────────────────────────────────────────────────────────────────────────────────────────────


def said(
    message: str, output: int, seconds: float, *, since: datetime = LONG_AGO, stop: str | None = None, **more: Any
) -> Line:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 1000, "output_tokens": output}
    answer = {"id": message, "model": "claude-opus-4-5", "role": "assistant", "stop_reason": stop, "usage": usage}
    line = {"type": "assistant", "sessionId": "s", "requestId": f"req_{message}", "isSidechain": False}
    return {**line, "timestamp": at(since, seconds), "message": answer, **more}


def between(kind: str, seconds: float, *, since: datetime = LONG_AGO, **more: Any) -> Line:
    return {"type": kind, "sessionId": "s", "isSidechain": False, "timestamp": at(since, seconds), **more}


TOOL = between("user", 2, message={"role": "user", "content": [{"type": "tool_result"}]})
NOTICE = between("progress", 2, data={})
OTHER_AGENT = said("b", 7, 2, isSidechain=True, agentId="ag1", stop="end_turn")


@pytest.mark.parametrize(
    ("lines", "outputs"),
    [
        ([said("a", 1, 0), said("a", 1, 1), said("a", 260, 3)], [260]),
        ([said("a", 1, 0), TOOL, said("a", 260, 3, stop="tool_use")], [260]),
        ([said("a", 1, 0), NOTICE, said("a", 260, 3)], [260]),
        ([said("a", 1, 0), OTHER_AGENT, said("a", 260, 3)], [260, 7]),
        ([said("a", 1, 0), said("c", 5, 2), said("a", 260, 3)], [260, 5]),
        ([said("a", 260, 0, stop="end_turn"), said("a", 260, 0, stop="end_turn", forkedFrom={})], [260]),
    ],
    ids=["blocks", "a tool answers early", "a notice", "another agent", "another answer", "a branch says it twice"],
)
def test_an_answer_counts_once_with_all_of_its_output_whatever_stands_between_its_lines(
    lines: list[Line], outputs: list[int]
) -> None:
    records, left_out = read("claude-code", lines)
    assert [record["output_tokens"] for record in records] == outputs
    assert left_out == []


@pytest.mark.parametrize(
    ("lines", "finished"),
    [
        ([said("a", 9, 0, since=JUST_NOW)], False),
        ([said("a", 9, 0, since=JUST_NOW, stop="end_turn")], True),
        ([said("a", 9, 0, since=JUST_NOW), between("queue-operation", 1, since=JUST_NOW)], False),
        ([said("a", 9, 0, since=JUST_NOW), between("user", 1, since=JUST_NOW)], True),
        ([said("a", 9, 0, since=JUST_NOW), said("b", 9, 1, since=JUST_NOW, stop="end_turn")], True),
        ([said("a", 9, 0, since=LONG_AGO)], True),
    ],
    ids=["streaming", "says why it stopped", "a notice", "was answered", "went on", "long ago, and never says why"],
)
def test_an_answer_that_may_still_be_written_to_waits_and_no_other(lines: list[Line], finished: bool) -> None:
    records, left_out = read("claude-code", lines)
    assert ("a" in {record["response_id"] for record in records}) == finished
    assert left_out == ([] if finished else ["an answer that is not finished: import it again later"])


TEXT = {"type": "text", "text": "First"}


def declined(output: int, *content: Mapping[str, Any]) -> Line:
    line = said("a", output, 3, stop="refusal")
    return {**line, "message": {**line["message"], "content": list(content)}}


@pytest.mark.parametrize(
    ("lines", "charged"),
    [
        ([declined(1)], False),
        ([declined(1, TEXT)], True),
        ([said("a", 9, 0), declined(1)], True),
    ],
    ids=["before anything", "in the midst", "after another line"],
)
def test_a_refusal_is_charged_only_where_something_was_written(lines: list[Line], charged: bool) -> None:
    (record,), _ = read("claude-code", lines)
    assert record.get("not_billed", False) is not charged


def test_answers_of_a_long_file_are_not_kept() -> None:
    records, left_out = read("claude-code", [said(f"m{n}", n, n, stop="end_turn") for n in range(1000)])
    assert [record["output_tokens"] for record in records] == list(range(1000))
    assert left_out == []


def test_a_resumed_session_repeats_answers_and_no_ids() -> None:
    first = [said("a", 5, 0), said("b", 6, 1)]
    records, _ = read("claude-code", first)
    again, _ = read("claude-code", [{**line, "sessionId": "t"} for line in first] + [said("c", 7, 9, sessionId="t")])
    assert {record["event_id"] for record in records} < {record["event_id"] for record in again}
    assert len(again) == 3


def relayed(message: str, read_in: int, output: int, seconds: float, **more: Any) -> Line:
    """An answer as a relay gives it, that knows no ids of requests."""
    line = said(message, output, seconds, **more)
    usage = {"input_tokens": read_in, "output_tokens": output}
    kept = {name: value for name, value in line.items() if name != "requestId"}
    return {**kept, "message": {**line["message"], "model": "glm-4.6", "usage": usage}}


@pytest.mark.parametrize(
    ("lines", "counts"),
    [
        ([relayed("ocgo", 100, 5, 0), TOOL, relayed("ocgo", 200, 7, 3)], [(100, 5), (200, 7)]),
        (
            [
                *(relayed("ocgo", 100, 5, 0), TOOL),
                *(relayed("ocgo", 200, 1, 3), relayed("ocgo", 200, 7, 4), TOOL),
                relayed("ocgo", 300, 2, 9),
            ],
            [(100, 5), (200, 7), (300, 2)],
        ),
        ([relayed("chatcmpl-1", 100, 1, 0), TOOL, relayed("chatcmpl-1", 100, 7, 3)], [(100, 7)]),
        ([relayed("chatcmpl-1", 0, 1, 0), TOOL, relayed("chatcmpl-1", 100, 7, 3)], [(100, 7)]),
        ([relayed("chatcmpl-1", 90, 1, 0), relayed("chatcmpl-1", 100, 7, 3)], [(100, 7)]),
    ],
    ids=["two", "three, in blocks", "a tool answers early", "the input is told late", "nobody answered in between"],
)
def test_answers_of_a_relay_that_gives_all_of_them_one_id_are_told_apart_by_what_they_read(
    lines: list[Line], counts: list[tuple[int, int]]
) -> None:
    records, left_out = read("claude-code", lines)
    assert [(record["input_tokens"], record["output_tokens"]) for record in records] == counts
    assert len({record["event_id"] for record in records}) == len(counts)
    assert left_out == []


@pytest.mark.parametrize(
    ("message", "model", "provider"),
    [
        ("msg_01", "claude-opus-4-5-20251101", "anthropic"),
        ("msg_bdrk_01", "claude-opus-4-5-20251101", "aws-bedrock"),
        ("msg_01", "us.anthropic.claude-opus-4-5-20251101-v1:0", "aws-bedrock"),
        ("msg_vrtx_01", "claude-opus-4-5-20251101", "google-vertex"),
        ("20260801", "glm-4.6", "zai"),
        ("chatcmpl-1", "kimi-k2.5", "moonshotai"),
        ("chatcmpl-1", "deepseek-v4-flash", "deepseek"),
        ("chatcmpl-1", "MiniMax-M2.1", "minimax"),
        ("chatcmpl-1", "house-model", "anthropic"),
    ],
)
def test_who_served_a_call_of_claude_code_is_told_by_its_id_and_its_model(
    message: str, model: str, provider: str
) -> None:
    line = said(message, 5, 0)
    (record,), _ = read("claude-code", [{**line, "message": {**line["message"], "model": model}}])
    assert (record["provider"], record["response_model"]) == (provider, model)


# ── Codex ──────────────────────────────────────────────────────────────────────────────────────────────────────

FORKED = datetime(2026, 5, 12, 12, tzinfo=UTC)
LATER = datetime(2026, 5, 12, 12, 0, 10, tzinfo=UTC)
"""Calls at ten o'clock, a fork at twelve, and a call of the fork ten seconds later."""

BEFORE = datetime(2026, 5, 12, 10, tzinfo=UTC)
OLD = "c0ffee00-0000-4000-8000-000000000001"


def uuid7(moment: datetime) -> str:
    written = f"{int(moment.timestamp() * 1000):012x}"
    return f"{written[:8]}-{written[8:]}-7000-8000-000000000001"


def rollout(kind: str, stamp: datetime, payload: Line, seconds: float = 0) -> Line:
    return {"timestamp": at(stamp, seconds), "type": kind, "payload": payload}


def session(stamp: datetime, session_id: str, **more: Any) -> Line:
    return rollout("session_meta", stamp, {"id": session_id, "timestamp": at(stamp, 0), **more})


def turn(stamp: datetime, **named: Any) -> list[Line]:
    """A turn as a rollout has it: its beginning, and its context."""
    began = {"type": "task_started", **named}
    context = {"model": "gpt-5-codex", **{name: value for name, value in named.items() if name == "turn_id"}}
    return [rollout("event_msg", stamp, began), rollout("turn_context", stamp, context)]


def count(stamp: datetime, total: int, last: int, seconds: float = 0.001) -> Line:
    sums = {"input_tokens": total, "cached_input_tokens": 0, "output_tokens": 0, "reasoning_output_tokens": 0}
    info = {"total_token_usage": sums, "last_token_usage": {**sums, "input_tokens": last}}
    return rollout("event_msg", stamp, {"type": "token_count", "info": info}, seconds)


def history(stamp: datetime, **named: Any) -> list[Line]:
    return [*turn(stamp, **named), count(stamp, 100, 100), count(stamp, 100, 100), count(stamp, 250, 150, 0.002)]


BY_FORK = {"forked_from_id": uuid7(BEFORE)}
BY_SPAWN = {"source": {"subagent": {"thread_spawn": {"parent_thread_id": uuid7(BEFORE), "depth": 1}}}}
PARENT = session(FORKED, uuid7(BEFORE))
OLD_SECOND, NEW_SECOND = int(BEFORE.timestamp()), int(LATER.timestamp())


@pytest.mark.parametrize(
    "lines",
    [
        [*history(FORKED, turn_id=uuid7(BEFORE)), *turn(LATER, turn_id=uuid7(LATER))],
        [PARENT, *history(FORKED, turn_id=uuid7(BEFORE)), *turn(LATER, turn_id=uuid7(LATER))],
        [*history(FORKED, turn_id=OLD, started_at=OLD_SECOND), *turn(LATER, turn_id=OLD, started_at=NEW_SECOND)],
        [*history(FORKED), *turn(LATER)],
        [*history(FORKED, turn_id=OLD), *turn(LATER, turn_id=OLD)],
        [*history(FORKED, turn_id=uuid7(BEFORE)), count(LATER, 250, 150), *turn(LATER, turn_id=uuid7(LATER))],
        [*history(FORKED, turn_id=uuid7(BEFORE)), *turn(LATER)],
    ],
    ids=["ids of turns", "a head", "seconds", "nothing but the pause", "ids without times", "told again", "no own id"],
)
@pytest.mark.parametrize("origin", [BY_FORK, BY_SPAWN], ids=["forked", "a subagent"])
def test_what_a_session_copies_from_its_parent_counts_only_there(lines: list[Line], origin: Line) -> None:
    records, left_out = read("codex", [session(FORKED, uuid7(FORKED), **origin), *lines, count(LATER, 320, 70)])
    assert [(record["session_id"], record["input_tokens"]) for record in records] == [(uuid7(FORKED), 70)]
    assert left_out == ["a call of the session that this one was forked from"] * 2


def test_a_fork_may_be_written_long_after_it_was_made() -> None:
    made, written = FORKED - timedelta(minutes=1), FORKED
    head = rollout("session_meta", written, {"id": OLD, "timestamp": at(made, 0), **BY_FORK})
    records, _ = read("codex", [head, *history(written), *turn(LATER), count(LATER, 320, 70)])
    assert [record["input_tokens"] for record in records] == [70]


def test_a_subagent_that_begins_with_nothing_counts_from_its_first_call() -> None:
    for named in ({"turn_id": uuid7(FORKED)}, {"turn_id": OLD, "started_at": int(FORKED.timestamp())}):
        lines = [session(FORKED, uuid7(FORKED), **BY_SPAWN), *turn(FORKED, **named), count(FORKED, 40, 40, 0.1)]
        assert [record["input_tokens"] for record in read("codex", lines)[0]] == [40]


def test_a_session_of_its_own_counts_however_soon_its_calls_come() -> None:
    records, _ = read("codex", [session(BEFORE, OLD), *history(BEFORE)])
    assert [record["input_tokens"] for record in records] == [100, 150]


def test_a_full_context_window_begins_the_sum_anew_and_loses_nothing() -> None:
    lines = [session(BEFORE, OLD), *history(BEFORE), count(BEFORE, 0, 0, 5), count(BEFORE, 30, 30, 9)]
    records, _ = read("codex", lines)
    assert [record["input_tokens"] for record in records] == [100, 150, 30]


def test_what_codex_writes_to_the_cache_is_a_part_of_its_input_and_of_the_same_call() -> None:
    def written(total: int, last: int, name: str) -> Line:
        line = count(BEFORE, 1000 + total, 1000)
        info = line["payload"]["info"]
        sums = {**info["total_token_usage"], name: total}, {**info["last_token_usage"], name: last}
        told = {"total_token_usage": sums[0], "last_token_usage": sums[1]}
        return {**line, "payload": {**line["payload"], "info": told}}

    head = [session(BEFORE, OLD), *turn(BEFORE)]
    for name in ("cache_write_input_tokens", "cache_creation_input_tokens"):
        records, _ = read("codex", [*head, written(300, 300, name), written(500, 200, name)])
        assert [record["cache_write_5m_tokens"] for record in records] == [300, 200]
    without, _ = read("codex", [*head, count(BEFORE, 1300, 1000), count(BEFORE, 1500, 1000)])
    assert [record["event_id"] for record in without] == [record["event_id"] for record in records]


def settings(stamp: datetime, **named: Any) -> Line:
    return rollout("event_msg", stamp, {"type": "thread_settings_applied", "thread_settings": named})


@pytest.mark.parametrize(
    ("changes", "tiers"),
    [
        ([{}], [None, None]),
        ([{"service_tier": "default"}], ["default", "default"]),
        ([{"service_tier": "priority"}], ["priority", "priority"]),
        ([{"service_tier": "fast"}, {"service_tier": "standard"}], ["priority", "default"]),
        ([{"service_tier": "priority"}, {"model": "gpt-5.6-sol"}], ["priority", None]),
    ],
    ids=["never told", "default", "Fast mode", "in the app's words, and switched", "taken back"],
)
def test_the_tier_of_a_call_of_codex_is_the_one_that_was_set_before_it(
    changes: list[Line], tiers: list[str | None]
) -> None:
    first, *later = [settings(BEFORE, **change) for change in changes]
    lines = [session(BEFORE, OLD), first, *turn(BEFORE), count(BEFORE, 100, 100), *later, count(BEFORE, 250, 150)]
    records, _ = read("codex", lines)
    assert [record.get("service_tier") for record in records] == tiers


def test_the_settings_of_a_session_name_the_model_where_no_turn_does() -> None:
    lines = [session(BEFORE, OLD), settings(BEFORE, model="gpt-5.6-sol"), count(BEFORE, 100, 100)]
    assert [record["request_model"] for record in read("codex", lines)[0]] == ["gpt-5.6-sol"]


def recorded(stamp: datetime, answer: str, tokens: int) -> Line:
    usage = {"input_tokens": tokens, "cached_input_tokens": 0, "output_tokens": 0, "reasoning_output_tokens": 0}
    return rollout("token_usage_record", stamp, {"response_id": answer, "usage": usage}, 0.5)


def compacted(stamp: datetime, **named: Any) -> Line:
    return rollout("compacted", stamp, {"message": "", "replacement_history": [], **named}, 0.6)


COMPACTED = [recorded(BEFORE, "r2", 9000), compacted(BEFORE, compaction_response_id="r2")]


@pytest.mark.parametrize(
    ("lines", "counted"),
    [
        ([*COMPACTED, count(BEFORE, 100, 100, 1), count(BEFORE, 130, 30, 9)], [100, 9000, 30]),
        (COMPACTED, [100, 9000]),
        ([*COMPACTED, *COMPACTED, count(BEFORE, 130, 30, 9)], [100, 9000, 9000, 30]),
        ([*COMPACTED, count(BEFORE, 9100, 9000, 1), count(BEFORE, 9130, 30, 9)], [100, 9000, 30]),
        ([*COMPACTED, count(BEFORE, 9130, 30, 9)], [100, 9030]),
        ([recorded(BEFORE, "r2", 30), count(BEFORE, 130, 30, 9)], [100, 30]),
        ([recorded(BEFORE, "r2", 30), compacted(BEFORE), count(BEFORE, 130, 30, 9)], [100, 30]),
        ([compacted(BEFORE, compaction_response_id="r9"), count(BEFORE, 130, 30, 9)], [100, 30]),
    ],
    ids=[
        "beside the sums",
        "at the end of a file",
        "twice",
        "a call of the sums",
        "within a call of the sums",
        "a call as any other",
        "compacted by Codex itself",
        "not recorded",
    ],
)
def test_what_codex_has_its_provider_compact_is_a_call_once(lines: list[Line], counted: list[int]) -> None:
    head = [session(BEFORE, OLD), *turn(BEFORE), recorded(BEFORE, "r1", 100), count(BEFORE, 100, 100)]
    records, left_out = read("codex", [*head, *lines])
    assert [record["input_tokens"] for record in records] == counted
    assert all(
        record["response_id"] == "r2" for record in records if record["input_tokens"] == 9000 and len(lines) == 2
    )
    assert left_out == []


def test_what_a_parent_had_compacted_counts_only_there() -> None:
    copied = [*history(FORKED, turn_id=uuid7(BEFORE)), recorded(FORKED, "r2", 9000)]
    copied += [compacted(FORKED, compaction_response_id="r2"), *turn(LATER, turn_id=uuid7(LATER))]
    records, left_out = read("codex", [session(FORKED, uuid7(FORKED), **BY_FORK), *copied, count(LATER, 320, 70)])
    assert [record["input_tokens"] for record in records] == [70]
    assert left_out == ["a call of the session that this one was forked from"] * 3
