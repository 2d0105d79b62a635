"""The gist of an answer: one line that says of it what its reading depends on, whatever answer came before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_answers import Case, cases, parsed

from taximeter.extract import Flavour
from taximeter.extract.anthropic import MESSAGES
from taximeter.extract.gist import NO_GIST, UsageText
from taximeter.extract.openai import CHAT, RESPONSES

CHAT_USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "details": {"cached": 3}}
CHAT_ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o",
    "choices": [{"message": {"content": "secret"}, "finish_reason": "stop"}],
    "usage": CHAT_USAGE,
}


def gist_of(flavour: Flavour, answer: object, body: str = "") -> str | None:
    assert flavour.gist is not None
    return flavour.gist(answer, body)


# -- the gist -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [case for case in cases() if not case.stream], ids=lambda case: case.id)
def test_the_gist_of_a_recorded_answer_says_nothing_of_its_content(recorded: Case) -> None:
    if recorded.flavour.gist is None or recorded.status != 200:
        return
    body = recorded.body.decode()
    gists = [gist_of(recorded.flavour, parsed(recorded.body), text) for text in ("", body, body)]
    for gist in gists:
        if gist is not None:
            said = json.loads(gist)
            assert said == json.loads(gists[0] or ""), "whether it is cut out or written anew"
            assert said.keys() <= {"id", "model", "service_tier", "usage", "status", "output"}
            assert not said.get("output")


@pytest.mark.parametrize(
    ("flavour", "answer"),
    [
        (CHAT, {**CHAT_ANSWER, "usage": {"prompt_tokens": 1, "at": object()}}),
        (CHAT, {**CHAT_ANSWER, "usage": {"prompt_tokens": 1, "at": 10**5_000}}),
        (CHAT, {**CHAT_ANSWER, "id": None}),
        (CHAT, {**CHAT_ANSWER, "model": 7}),
        (CHAT, {**CHAT_ANSWER, "service_tier": ["default"]}),
        (RESPONSES, {"id": "1", "model": "m", "status": "completed", "output": [], "usage": {"input_tokens": "1"}}),
        (MESSAGES, {"id": "1", "model": "m", "usage": None}),
    ],
    ids=["no JSON", "a number of five thousand digits", "no id", "no text", "an odd tier", "no number", "no usage"],
)
def test_an_answer_with_something_odd_has_none(flavour: Flavour, answer: object) -> None:
    assert gist_of(flavour, answer) is None


def test_one_that_holds_itself_has_none() -> None:
    usage: dict[str, object] = {"prompt_tokens": 1}
    usage["usage"] = usage
    assert gist_of(CHAT, {**CHAT_ANSWER, "usage": usage}) is None


def test_names_are_quoted() -> None:
    gist = gist_of(CHAT, {**CHAT_ANSWER, "id": 'a"b\n', "model": "\ud800é", "service_tier": "x\\"})
    assert gist is not None
    assert gist.isascii()
    said = json.loads(gist)
    assert (said["id"], said["model"], said["service_tier"]) == ('a"b\n', "\ud800é", "x\\")


# -- its usage ------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(['"usage":{"a":1}', "}", "{", '"', "\\", ",", "\n"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "a", "b"]) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = st.dictionaries(st.sampled_from(["a", "b", "c"]) | st.text(max_size=9), VALUES, max_size=3)
INDENTS = st.sampled_from([None, None, 0, 2, "\t"])
SEPARATORS = st.sampled_from([(", ", ": "), (",", ":"), (" ,", " :")])


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """An answer that has a usage, and a text it may be read from. What stands behind the usage is often the same."""
    before, usage = draw(MEMBERS), draw(VALUES)
    same: list[dict[str, Any]] = [{}, {"tier": "default"}, {"tier": None, "print": "fp_1"}]
    after: dict[str, Any] = draw(st.sampled_from(same) | MEMBERS)
    answer = {**before, "usage": usage, **after}
    ascii_only = draw(st.booleans())
    return answer, json.dumps(answer, indent=draw(INDENTS), separators=draw(SEPARATORS), ensure_ascii=ascii_only)


@given(st.lists(answers(), min_size=1, max_size=5))
def test_of_answers_one_after_another_each_gives_its_own_usage(came: list[tuple[dict[str, Any], str]]) -> None:
    usages = UsageText()
    for answer, body in came:
        for _ in range(2):
            written = usages.of(answer["usage"], body)
            assert "\n" not in written
            assert json.loads(written) == answer["usage"]


@given(st.lists(st.tuples(MEMBERS, st.dictionaries(st.text(max_size=4), VALUES, max_size=3)), min_size=2, max_size=4))
def test_a_usage_is_found_behind_any_content_when_what_follows_is_the_same(
    came: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    usages = UsageText()
    for content, usage in came:
        answer = {"content": content, "usage": usage, "tier": "default"}
        written = usages.of(usage, json.dumps(answer))
        assert json.loads(written) == usage


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\r", "\r"], ids=repr)
def test_a_usage_is_one_line_however_the_lines_of_its_answer_end(end: str) -> None:
    usages, usage = UsageText(), {"prompt_tokens": 3, "details": {"said": "a\r\nb"}}
    for _ in range(2):
        written = usages.of(usage, json.dumps({"usage": usage}, indent=2).replace("\n", end))
        assert written.splitlines() == [written]
        assert json.loads(written) == usage


LATEST = '{"id":"1","usage":{"a":7},"tier":"default"}'


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        '{"usage":',
        '{"usage": ',
        '{"usage":{"a":1},"other":{"usage":{"a":2}}}',
        '{"usage":{"a":1},"other":{"usage":{"a":2}},"tier":"default"}',
        '{"other":{"usage":{"a":2}},"usage":{"a":1},"tier":"default"}',
        '{"usage":{"a":1},"text":"\\"usage\\":{\\"a\\":2}"}',
        '{"usage":{"a":1},"text":"\\"usage\\":{\\"a\\":2}","tier":"default"}',
        '{"usage":{"a":1},"x":2,"tier":"default"}',
        '{"usage":{"a":1},"x":{},"tier":"default"}',
        '{"usage":\n  {"a":1}}',
        '{"usage" : {"a":1}}',
        '{"usage" : {"a":1},"tier":"default"}',
    ],
)
def test_a_body_that_says_its_usage_in_another_way_is_not_mistaken(body: str) -> None:
    usages = UsageText()
    assert usages.of({"a": 7}, LATEST) == '{"a":7}'
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {"usage": {"a": 1}}
    assert json.loads(usages.of(answer["usage"], body)) == {"a": 1}


@pytest.mark.parametrize(
    ("latest", "body"),
    [
        ('{"usage":{"a":1},"x":{"usage":{"a":1}}}', '{"usage":{"a":7},"x":{"b":{}}}'),
        ('{"usage":{"a":1},"x":{"usage":{"a":true}}}', '{"usage":{"a":1},"x":{"usage":{"a":1.0}}}'),
        ('{"usage":{"a":1},"t":"d"}', '{"usage":{"a":7},"t":"secret","t":"d"}'),
        ('{"usage":{"a":1},"t":"d"}', '{"usage":{"a":7},"usage":{"a":8},"t":"d"}'),
        ('{"usage":{"a":1}}', '{"c":1,"usage":{"a":7},"c":"secret"}'),
        ('{"usage":{"a":1}}', '{"c":1,"usage":{"a":7},"c":{"secret":1}}'),
        ('{"usage":{"a":1}}', '{"c":{"usage":{"a":7}},"usage" :{"a":1}}'),
        ('{"usage":{"a":1}}', '{"c":{"usage":{"a":7}},"\\u0075sage":{"a":1}}'),
        ('{"usage":{"a":1}}', '{"usage" :{"usage":{"a":7}}}'),
        ('{"usage":{"a":1}}', '{"usage" :{"a":1},"\\"usage":{"a":7}}'),
        ('{"usage":{"a":1},"\\"usage":{"a":1}}', '{"usage":{"a":1},"\\"usage":{"a":7}}'),
        ('{"usage":{"a":1},"\\u0075sage":{"a":1}}', '{"usage":{"a":2},"\\u0075sage":{"a":1}}'),
        ('{"usage":{"a":1},"usage" :{"a":1}}', '{"usage":{"a":2},"usage" :{"a":1}}'),
        ('{"usage":{"a":"{1"}}', '{"usage":{"a":"{2"},"b":"}"}'),
        ('{"usage":{"a":"\\"1"}}', '{"usage":{"a":"2\\""}}'),
    ],
)
def test_a_usage_is_not_mistaken_behind_a_latest_one_that_ends_alike(latest: str, body: str) -> None:
    """Names that come twice, a usage in a usage, names with other characters: JSON all the same."""
    usages = UsageText()
    for one in (latest, body, latest, latest, body):
        usage = json.loads(one)["usage"]
        written = usages.of(usage, one)
        assert repr(json.loads(written)) == repr(usage), "to Python 1, 1.0 and True are equal"
        assert "secret" not in written


SPELLINGS = st.sampled_from(['"usage":', '"usage" :', '"\\u0075sage":', '"\\"usage":', '"t":', '"c":', '"5":'])


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> str:
    """An object of few names, each in any of its spellings and as often as it likes."""
    values = st.sampled_from(["1", "27", "1.0", "true", '"}"', '"{3"', '"\\"usage\\":"', "{}"])
    members = st.tuples(SPELLINGS, values if depth == 0 else values | objects(depth - 1))
    return "{" + ",".join(map("".join, draw(st.lists(members, max_size=3)))) + "}"


@given(st.lists(objects(), min_size=2, max_size=6))
def test_whatever_objects_came_before_a_usage_is_that_of_its_answer(bodies: list[str]) -> None:
    usages = UsageText()
    for body in (*bodies, *bodies):
        answer = json.loads(body)
        if "usage" in answer:
            assert repr(json.loads(usages.of(answer["usage"], body))) == repr(answer["usage"])


def test_a_usage_that_differs_in_its_digits_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    usages = UsageText()
    bodies = [f'{{"c":"{"x" * n}","usage": {{"a":{n},"d":{{"b":{7 * n}}}}},"tier":"default"}}' for n in (1, 20, 300)]
    usages.of(json.loads(bodies[0])["usage"], bodies[0])
    monkeypatch.setattr("taximeter.extract.gist._scan", None)
    for body in bodies:
        assert json.loads(usages.of(None, body)) == json.loads(body)["usage"]


def test_what_is_raised_is_what_those_who_ask_expect() -> None:
    with pytest.raises(NO_GIST):
        UsageText().of({"at": object()}, "")
