"""Rows of the panel."""

from __future__ import annotations

from taximeter.anomaly.panel import Panel, Role


def test_a_user_is_one_of_all_who_are_watched_whatever_their_feature() -> None:
    panel = Panel(("feature", "user_id", "model"), ("feature",))
    for feature, user in (("chat", "u1"), ("chat", "u2"), ("search", "u3")):
        panel.cell((feature, user, "m"), minute=5)
    alike = panel.alike(6)
    users, others = panel.of_role(Role.SPENDER), panel.of_role(Role.GROUP, Role.MIX)
    assert set(alike[users]) == {3}
    assert set(alike[others]) == {1}
    assert set(panel.alike(5)) == {1}, "those who begin now are not yet watched"
