"""Rules and limits keep their versions apart; what is promised of versions is in the contract of limits."""

from __future__ import annotations

from hand_clock import START_US

from taximeter.store.metadata import Metadata, Version


def test_rules_have_versions_of_their_own(metadata: Metadata) -> None:
    metadata.limits.set("chat", {"limit": 1}, "ann")
    assert metadata.rules.current() == []
    assert metadata.rules.change_number() == 0
    first = metadata.rules.set("chat", {"warning": "> 1"}, "bob")
    removed = metadata.rules.remove("chat", "ann")
    assert metadata.rules.history("chat") == [removed, first]
    assert (first, removed) == (
        Version("chat", 1, {"warning": "> 1"}, START_US, "bob"),
        Version("chat", 2, None, START_US, "ann"),
    )
    assert metadata.rules.change_number() == 2
    assert [one.name for one in metadata.limits.current()] == ["chat"]
