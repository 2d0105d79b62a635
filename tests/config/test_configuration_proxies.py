"""Which proxy leads to a provider."""

from __future__ import annotations

import pytest

from taximeter.config.file import parse
from taximeter.config.proxies import proxy_for
from taximeter.errors import ConfigurationError

PROXY = "http://proxy:3128"

WAYS = [
    # base_url, configured, environment, proxy
    ("https://h/v1", None, {}, None),
    ("https://h/v1", None, {"HTTPS_PROXY": PROXY}, PROXY),
    ("https://h/v1", None, {"https_proxy": PROXY, "HTTPS_PROXY": "http://other"}, PROXY),
    ("https://h/v1", None, {"HTTP_PROXY": PROXY}, None),
    ("https://h/v1", None, {"ALL_PROXY": "proxy:3128"}, PROXY),
    ("http://h/v1", None, {"HTTP_PROXY": PROXY}, PROXY),
    ("https://h/v1", "http://own:1", {"HTTPS_PROXY": PROXY, "NO_PROXY": "h"}, "http://own:1"),
    ("https://h/v1", "none", {"HTTPS_PROXY": PROXY}, None),
    ("http://127.0.0.1:11434", None, {"HTTP_PROXY": PROXY}, None),
    ("http://localhost:11434", None, {"HTTP_PROXY": PROXY}, None),
    ("http://[::1]:11434", None, {"HTTP_PROXY": PROXY}, None),
    *(
        ("https://api.h.com:8443", None, {"HTTPS_PROXY": PROXY, "NO_PROXY": named}, None)
        for named in ("*", "api.h.com", "h.com", ".h.com", "*.h.com", "x, H.com ", "h.com:8443")
    ),
    *(
        ("https://api.h.com:8443", None, {"HTTPS_PROXY": PROXY, "NO_PROXY": named}, PROXY)
        for named in ("", "i.h.com", "xh.com", "h.com:443", "com.", ",", ".")
    ),
]


@pytest.mark.parametrize(("base_url", "configured", "environment", "proxy"), WAYS)
def test_the_way(base_url: str, configured: str | None, environment: dict[str, str], proxy: str | None) -> None:
    assert proxy_for(base_url, configured, environment) == proxy


def test_the_settings_know_the_proxy_of_every_provider_and_do_not_show_it() -> None:
    settings = parse(
        "providers: {near: {base_url: http://10.0.0.1, proxy: none}}", {"HTTPS_PROXY": "http://me:PW@proxy"}
    )
    openai = settings.providers["openai"].proxy
    assert openai is not None
    assert openai.get_secret_value() == "http://me:PW@proxy"
    assert settings.providers["near"].proxy is None
    assert "PW" not in repr(settings)


def test_a_proxy_that_is_no_address_is_a_mistake_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse("providers: {openai: {proxy: 'socks5://me:PW@proxy'}}", {})
    assert "should begin with http://" in str(wrong.value)
    assert "PW" not in str(wrong.value)


@pytest.mark.parametrize("said", ["socks5://me:PW@proxy:1080", "https://proxy", "http://", "http://proxy:many"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_a_mistake_and_not_gone_around(said: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        parse("providers: {anthropic: {proxy: none}}", {"HTTPS_PROXY": said})
    (told,) = wrong.value.mistakes
    assert told.where == "providers.openai.proxy"
    assert "what the environment says is no address" in str(wrong.value)
    assert "PW" not in str(wrong.value)
