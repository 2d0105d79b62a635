"""Datadog through its client: what it has of amounts and tags, how much goes at once, what lies on the way there."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from receivers import DatadogIntake, listening

from taximeter.exporters.datadog import BYTES_AT_ONCE, POINTS_AT_ONCE
from taximeter.exporters.datadog_points import doubles, tag
from taximeter.exporters.port import Exporter, ExportError, NotTakenError, Parcel
from taximeter.exporters.registry import open_exporters
from taximeter.exporters.series import Sums, series_key

KEY = DatadogIntake.KEY
AMOUNTS = st.decimals(min_value=Decimal("-1e26"), max_value=Decimal("1e26"), places=12)
"""All that a sum of a store can be: 38 digits, 12 of them behind the point."""


def opened(**settings: object) -> Exporter:
    exporters, wrong = open_exporters({"it": {"kind": "datadog", "api_key": KEY, **settings}})
    assert wrong == []
    return exporters["it"]


def parcel(amounts: Sums) -> Parcel:
    told = {"id": "it-1", "at_us": 1_795_000_000_000_000, "from_us": 1, "to_us": 2, "since_us": 0}
    return Parcel(**told, labels=["model", "feature"], amounts=amounts, totals=amounts)  # type: ignore[arg-type]


ONE = parcel({series_key(["gpt-4o", "chat"]): {"cost_usd": Decimal("0.5")}})


def sent(amounts: Sums, **settings: object) -> DatadogIntake:
    intake = DatadogIntake()
    with listening(intake.take) as url:
        opened(url=url, **settings).send(parcel(amounts))
    return intake


@given(AMOUNTS)
@example(Decimal("0.000000000001"))
@example(Decimal("99999999999999999999999999.999999999999"))
def test_numbers_of_a_double_add_up_to_the_amount(amount: Decimal) -> None:
    parts = [Decimal(repr(part)) for part in doubles(amount)]
    assert sum(map(int_of, parts)) == int_of(amount)
    assert len(parts) <= 3


def int_of(amount: Decimal) -> int:
    """In the smallest unit: whole numbers have no end."""
    units = Fraction(amount) * 10**12
    assert units.denominator == 1
    return units.numerator


@given(st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1))
def test_fifteen_digits_are_one_number(units: int) -> None:
    """A series of a minute that cost less than 1,000 USD."""
    assert len(doubles(Decimal(units).scaleb(-12))) == bool(units)


@given(st.sampled_from(["feature", "llm_user", "model"]), st.text(min_size=1, max_size=250))
@example("feature", "Search, deep  __ (beta)::")
@example("feature", "x" * 300)
def test_a_tag_is_one_that_datadog_leaves_as_it_is(name: str, value: str) -> None:
    told = tag(name, value)
    assert DatadogIntake.tag(told) == told
    assert told.startswith(name)


def test_an_amount_with_more_digits_than_a_double_is_told_in_two_numbers() -> None:
    intake = sent({series_key(["gpt-4o", "chat"]): {"cost_usd": Decimal("123456.000000000001")}})
    assert intake.sums() == {"cost_usd": Decimal("123456.000000000001")}
    tags = [tags for _, tags, _ in intake.points]
    assert sorted(map(len, tags)) == [2, 3]
    assert "remainder:1" in {one for some in tags for one in some}


def test_series_that_are_one_to_datadog_are_added_up() -> None:
    features = ["Chat", "chat", "chat!", "x" * 300, "x" * 299 + "y"]
    intake = sent({series_key(["gpt-4o", one]): {"cost_usd": Decimal("0.5"), "calls": Decimal(1)} for one in features})
    assert intake.sums() == {"cost_usd": Decimal("2.5"), "calls": 5}
    assert {tags[0] for _, tags, _ in intake.points} == {"feature:chat", "feature:" + "x" * 192}


@pytest.mark.parametrize(
    ("series", "length", "requests"),
    [(POINTS_AT_ONCE, 3, 1), (POINTS_AT_ONCE + 1, 3, 2), (900, 180, 1), (900, 180 * 2, 2)],
)
def test_a_request_is_bounded_by_points_and_by_bytes(series: int, length: int, requests: int) -> None:
    further = {f"t{number}": "v" * 180 for number in range(length // 180)}
    amounts = {series_key([f"model-{number}", "chat"]): {"calls": Decimal(1)} for number in range(series)}
    intake = sent(amounts, tags=further)
    assert (intake.requests, intake.sums()) == (requests, {"calls": Decimal(series)})
    assert DatadogIntake.LARGEST_BYTES > BYTES_AT_ONCE


def test_no_answer_shows_the_key() -> None:
    def refuse(_path: str, headers: Mapping[str, str], _body: bytes) -> int:
        assert headers["dd-api-key"] == KEY
        return 403

    echo = b'{"errors": ["no such key: %s"]}' % KEY.encode()
    with listening(refuse, echo) as url, pytest.raises(NotTakenError) as raised:
        opened(url=url).send(ONE)
    assert raised.value.message == 'Datadog answered 403: {"errors": ["no such key: ***"]}'


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"\xff\xfe"])
def test_an_answer_that_is_not_datadogs_is_not_one_that_took_it(body: bytes) -> None:
    with listening(lambda *_: 200, body) as url, pytest.raises(ExportError, match="not one of its API") as raised:
        opened(url=url).send(ONE)
    assert type(raised.value) is ExportError


def test_the_key_does_not_follow_to_another_address() -> None:
    asked: list[str] = []

    def take(path: str, _headers: Mapping[str, str], _body: bytes) -> int:
        asked.append(path)
        return 307

    with listening(take, headers={"location": "/elsewhere"}) as url, pytest.raises(ExportError, match="answered 307"):
        opened(url=url).send(ONE)
    assert asked == ["/api/v2/series"]


def test_the_environment_does_not_say_where_to_and_with_which_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"DD_SITE": "nonsense", "DD_API_KEY": "another", "DD_APP_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    assert sent(ONE.amounts).sums() == {"cost_usd": Decimal("0.5")}


@contextmanager
def asked_first() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a proxy that refuses, and the first line that it was asked."""
    lines: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            lines.append(connection.recv(65536).splitlines()[0])
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://me:secret@127.0.0.1:{listener.getsockname()[1]}", lines
        thread.join()


@pytest.mark.parametrize("site", ["datadoghq.com", "datadoghq.eu", "us5.datadoghq.com", "ddog-gov.com"])
def test_a_site_is_asked_through_the_proxy(site: str) -> None:
    with asked_first() as (proxy, lines), pytest.raises(NotTakenError) as raised:
        opened(site=site, proxy=proxy).send(ONE)
    assert [line.split(b" HTTP")[0] for line in lines] == [f"CONNECT api.{site}:443".encode()]
    assert raised.value.message == "Datadog cannot be reached: ProxyError"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_is_checked_and_an_authority_of_ones_own_can_be_named(certificate: tuple[Path, Path]) -> None:
    intake, tls = DatadogIntake(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate[1], certificate[0])
    with listening(intake.take, tls=tls) as url:
        for unknown in ({"url": url}, {"url": url.replace("localhost", "127.0.0.1"), "ca_file": str(certificate[1])}):
            with pytest.raises(NotTakenError, match="cannot be reached: SSLCertVerificationError"):
                opened(**unknown).send(ONE)
        opened(url=url, ca_file=str(certificate[1])).send(ONE)
    assert intake.sums() == {"cost_usd": Decimal("0.5")}


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"site": "https://datadoghq.eu"}, "exporters.to.it.site"),
        ({"url": "api.datadoghq.eu"}, "exporters.to.it.url"),
        ({"ca_file": "/nowhere.pem"}, "exporters.to.it.ca_file"),
    ],
)
def test_mistakes_are_told_by_their_place(settings: dict[str, str], where: str) -> None:
    _, wrong = open_exporters({"it": {"kind": "datadog", "api_key": KEY, **settings}})
    assert [mistake.where for mistake in wrong] == [where]
