"""Prompt caches: what is written once is read as long as it lives, and parts never exceed their whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from taximeter.simulator.asking import Block, text_block
from taximeter.simulator.prompt_cache import FIVE_MINUTES_S, NOT_CACHED, ONE_HOUR_S, CacheUse, PromptCache

LONG = "word " * 1100
blocks = st.lists(
    st.builds(
        lambda word, size, lifetime: Block(f"{word} " * size, size, lifetime),
        st.sampled_from("abc"),
        st.integers(0, 3000),
        st.sampled_from([0, FIVE_MINUTES_S, ONE_HOUR_S]),
    ),
    max_size=6,
)


@given(blocks, st.integers(0, 2000))
def test_reads_and_writes_fit_into_the_prompt_and_a_repetition_only_reads(prompt: list[Block], min_tokens: int) -> None:
    cache = PromptCache(min_tokens)
    first, second = cache.marked("s", prompt, 0), cache.marked("s", prompt, 1)
    total = sum(block.tokens for block in prompt)
    assert first.read + first.written_5m + first.written_1h <= total
    assert (second.written_5m, second.written_1h) == (0, 0)
    assert second.read == first.read + first.written_5m + first.written_1h


def test_nothing_is_cached_without_a_mark_or_below_the_minimum() -> None:
    cache = PromptCache(1024)
    assert cache.marked("s", [text_block(LONG)], 0) == NOT_CACHED
    assert cache.marked("s", [text_block("short", FIVE_MINUTES_S)], 0) == NOT_CACHED


def test_a_longer_conversation_reads_the_shorter_one_and_writes_the_rest() -> None:
    cache = PromptCache(1024)
    cache.marked("s", [text_block(LONG, FIVE_MINUTES_S)], 0)
    longer = [text_block(LONG), text_block("a b c", FIVE_MINUTES_S)]
    assert cache.marked("s", longer, 1) == CacheUse(read=1100, written_5m=3)


def test_lifetimes_are_told_apart() -> None:
    cache = PromptCache(1024)
    prompt = [text_block(LONG, ONE_HOUR_S), text_block("a b", FIVE_MINUTES_S)]
    assert cache.marked("s", prompt, 0) == CacheUse(written_1h=1100, written_5m=2)
    assert cache.marked("s", prompt, FIVE_MINUTES_S + 1) == CacheUse(read=1100, written_5m=2)


def test_reading_renews_and_silence_forgets() -> None:
    cache = PromptCache(1024)
    prompt = [text_block(LONG, FIVE_MINUTES_S)]
    cache.marked("s", prompt, 0)
    assert cache.marked("s", prompt, 200).read == 1100
    assert cache.marked("s", prompt, 400).read == 1100
    assert cache.marked("s", prompt, 701).read == 0


def test_scopes_share_nothing() -> None:
    cache = PromptCache(1024)
    prompt = [text_block(LONG, FIVE_MINUTES_S)]
    cache.marked("model a", prompt, 0)
    assert cache.marked("model b", prompt, 0).read == 0


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5), st.integers(0, 700))
def test_automatic_caching_reads_whole_steps_of_what_is_repeated(parts: list[str], tail: int) -> None:
    cache = PromptCache(256)
    prompt = [word for word in parts for _ in range(300)] + ["z"] * tail
    first, second = cache.automatic("s", prompt, 0), cache.automatic("s", prompt, 1)
    steps = len(prompt) // 128 * 128
    assert (first.read, second.read) == (0, steps if len(prompt) >= 256 else 0)
    assert cache.automatic("s", [*prompt[:-1], "other"], 2).read <= steps
