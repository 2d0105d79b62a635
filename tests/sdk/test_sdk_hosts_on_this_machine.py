"""A proxy on this machine speaks for the provider of the library; any other unknown host is its own provider."""

from __future__ import annotations

import pytest

from taximeter.sdk.hosts import PROVIDERS_BY_HOST, host_of


@pytest.mark.parametrize(
    ("base_url", "library", "provider"),
    [
        ("http://localhost:9000/v1/", "openai", "openai"),
        ("http://localhost:9000/", "anthropic", "anthropic"),
        ("http://[::1]:9000/v1", "openai", "openai"),
        ("http://models.internal/v1", "openai", "models.internal"),
        ("https://api.groq.com/openai/v1", "openai", "groq"),
        ("http://localhost:9000/v1/", None, "localhost"),
    ],
)
def test_who_answers(base_url: str, library: str | None, provider: str) -> None:
    assert host_of(base_url, None, library).provider == provider


def test_this_machine_is_no_providers_registered_host() -> None:
    assert not {"localhost", "::1"} & PROVIDERS_BY_HOST.keys()
