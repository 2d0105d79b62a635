"""One port, four faces: who gets in, and where each path leads."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import zlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import zstandard
from faces import COOKIE, INGEST_LIMIT_BYTES, LOCAL_TOKEN, House

from taximeter.errors import SpoolError
from taximeter.server.health import METRICS, Counts

EVENT = b'{"event_id":"x"}'


@pytest.fixture
def built_page(tmp_path: Path) -> Path:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>the page")
    (page / "assets" / "index-abc123.js").write_text("console.log(1)")
    (page / "favicon.svg").write_text("<svg/>")
    (tmp_path / "outside.txt").write_text("secret")
    return page


@pytest.fixture
def house(built_page: Path) -> House:
    return House(built_page)


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/signin", 200),
        ("/", 401),
        ("/assets/index-abc123.js", 401),
        ("/favicon.svg", 401),
        ("/metrics", 401),
        ("/v1/events", 401),
        ("/nonsense", 404),
        ("/nobody/v1/chat/completions", 401),
    ],
)
def test_without_a_credential(house: House, path: str, status: int) -> None:
    async def check() -> None:
        async with house.client() as client:
            answer = await client.get(path)
            assert answer.status_code == status
            assert "openai" not in answer.text

    run(check())


@pytest.mark.parametrize("path", ["/" + "a" * 60_000, "/%C3%A9" * 200, "/%00"])
def test_no_file_has_such_a_name(house: House, path: str) -> None:
    async def check() -> None:
        async with house.client() as client:
            assert (await client.get(path)).status_code in (401, 404)
            await client.get("/signin", params={"token": house.links.issue()})
            for asked in (path, f"/assets{path}"):
                assert (await client.get(asked)).status_code == 404

    run(check())


def test_pages_around_the_sign_in_bring_their_icon(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            for given in ({}, {"token": "wrong"}, {"token": house.links.issue()}):
                answer = await client.get("/signin", params=given)
                assert '<link rel="icon" href="data:image/svg+xml,%3Csvg' in answer.text
                assert "img-src 'self' data:" in answer.headers["content-security-policy"]

    run(check())


@pytest.mark.parametrize("key", ["key-read", "key-admin", LOCAL_TOKEN])
def test_metrics_are_for_readers(house: House, key: str) -> None:
    async def check() -> None:
        async with house.client(key) as client:
            assert (await client.get("/metrics")).status_code == 200

    run(check())


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("key-read", 403, "forbidden"), ("key-gateway", 403, "forbidden"), ("nonsense", 401, "unauthenticated")],
)
def test_a_key_does_what_its_scope_says(house: House, key: str, status: int, code: str) -> None:
    async def check() -> None:
        async with house.client(key) as client:
            answer = await client.post("/v1/events", content=EVENT)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert not house.receiver.bodies

    run(check())


def test_an_unknown_provider_names_the_configured_ones_to_those_with_a_key(house: House) -> None:
    async def check() -> None:
        async with house.client("key-gateway") as client:
            answer = await client.post("/openia/v1/chat/completions")
            assert answer.status_code == 404
            assert answer.json()["error"]["providers"] == ["local", "openai"]
            assert "/local/, /openai/" in answer.json()["error"]["message"], "clients show nothing but the message"
            assert (await client.post("/v1/chat/completions")).json()["error"]["code"] == "not_found"
        async with house.client() as client:
            answer = await client.post("/openia/v1/messages", headers={"x-api-key": "key-gateway"})
            assert answer.json()["error"]["providers"] == ["local", "openai"], "also where other clients put it"

    run(check())


def test_the_gateway_gets_its_paths_untouched(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            assert (await client.get("/openai/v1/models")).text == "gateway /openai/v1/models"
            assert (await client.get("/local")).text == "gateway /local"

    run(check())


def test_readiness_tells_what_is_missing(house: House) -> None:
    async def check() -> None:
        house.problems.append("the store is closed")
        async with house.client() as client:
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["problems"]) == (503, ["the store is closed"])
            assert (await client.get("/healthz")).status_code == 200

    run(check())


def test_every_metric_is_exposed_with_its_help(house: House) -> None:
    house.counts = Counts(
        events_accepted=7,
        spool_losses={"disk_full": 2},
        spool_waiting_lines=4,
        spool_waiting_bytes=400,
        spool_refused=1,
        set_aside={"not_storable": 3},
        otlp_held_spans=1,
        stored_events=5,
        told_twice_events=1,
        collector_lag_bytes=10,
        gateway_records={"begin": 1},
        gateway_lost_records={"begin": 1},
        gateway_failures={"tap": 1},
        gateway_refusals={"wrong_key": 1},
        limit_counters_away=1,
    )

    async def check() -> None:
        async with house.client("key-read") as client:
            text = (await client.get("/metrics")).text
        for metric in METRICS:
            assert f"# HELP {metric.name} {metric.about}" in text
        assert "taximeter_spool_refused 1.0" in text
        assert "taximeter_limit_counters_away 1.0" in text
        assert 'taximeter_events_total{result="accepted"} 7.0' in text
        assert 'taximeter_losses_total{reason="disk_full"} 2.0' in text
        assert 'taximeter_set_aside_lines_total{reason="not_storable"} 3.0' in text

    run(check())


# ── ingest ─────────────────────────────────────────────────────────────────────────────────────────────────


PACKED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("zstd", zstandard.compress),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKED)
def test_events_are_handed_over_unpacked_with_what_is_bound_to_the_key(
    house: House, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    async def check() -> None:
        async with house.client("key-ingest") as client:
            headers = {"content-encoding": encoding, "content-type": "application/json"}
            answer = await client.post("/v1/events", content=pack(EVENT), headers=headers)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
        assert house.receiver.bodies == [(EVENT, "application/json", {"team": "core"}, False, "id-ingest")]

    run(check())


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"x" * (INGEST_LIMIT_BYTES + 1), "identity", 413),
        (gzip.compress(b"x" * (INGEST_LIMIT_BYTES + 1), mtime=0), "gzip", 413),
        (gzip.compress(b"x" * 100_000_000, mtime=0), "gzip", 413),
        (gzip.compress(EVENT, mtime=0)[:-9], "gzip", 422),
        (b"not gzip", "gzip", 422),
        (zstandard.compress(b"x" * 100_000_000), "zstd", 413),
        (zstandard.compress(EVENT)[:-2], "zstd", 422),
        (b"not zstd", "zstd", 422),
        (EVENT, "br", 422),
    ],
)
def test_bodies_that_are_refused(house: House, body: bytes, encoding: str, status: int) -> None:
    async def check() -> None:
        async with house.client("key-ingest") as client:
            answer = await client.post("/v1/events", content=body, headers={"content-encoding": encoding})
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]["message"]
        assert not house.receiver.bodies

    run(check())


def test_a_body_sent_in_pieces_is_bounded_too(house: House) -> None:
    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * 100

    async def check() -> None:
        async with house.client("key-ingest") as client:
            assert (await client.post("/v1/events", content=pieces())).status_code == 413

    run(check())


def test_trouble_with_the_disk_is_503_and_says_when_to_come_again(house: House) -> None:
    house.receiver.trouble = SpoolError("the disk is full")

    async def check() -> None:
        async with house.client("key-ingest") as client:
            answer = await client.post("/v1/events", content=EVENT)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "spool_unavailable"

    run(check())


def test_reading_from_ingest_is_405(house: House) -> None:
    async def check() -> None:
        async with house.client("key-ingest") as client:
            answer = await client.get("/v1/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")

    run(check())


# ── signing in ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_link_signs_a_browser_in_and_the_page_opens(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            answer = await client.get("/signin", params={"token": house.links.issue()})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"{COOKIE}=")
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            page = await client.get("/")
            assert (page.status_code, page.text) == (200, "<!doctype html>the page")
            assert page.headers["cache-control"] == "no-cache"
            asset = await client.get("/assets/index-abc123.js")
            assert "immutable" in asset.headers["cache-control"]
            assert (await client.get("/favicon.svg")).status_code == 200
            for one in (page, asset, answer):
                assert "default-src 'self'" in one.headers["content-security-policy"]
                assert one.headers["x-content-type-options"] == "nosniff"

    run(check())


def test_of_scripts_in_a_document_only_the_pages_own_run(house: House, built_page: Path) -> None:
    (built_page / "index.html").write_text("<!doctype html><script>first()</script><script>second()</script>")

    async def check() -> None:
        async with house.client() as client:
            await client.get("/signin", params={"token": house.links.issue()})
            policy = (await client.get("/")).headers["content-security-policy"]
            for script in (b"first()", b"second()"):
                assert f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" in policy
            assert "script-src 'self';" in (await client.get("/favicon.svg")).headers["content-security-policy"]

    run(check())


def test_a_wrong_or_old_link_does_not(house: House) -> None:
    old = house.links.issue()
    house.clock.seconds += 13 * 3600

    async def check() -> None:
        async with house.client() as client:
            for token in (old, "wrong", "", LOCAL_TOKEN + "x"):
                answer = await client.get("/signin", params={"token": token})
                assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)

    run(check())


@pytest.mark.parametrize(("key", "status"), [("key-admin", 200), ("key-read", 401), ("nonsense", 401)])
def test_the_form_takes_an_admin_key_too(house: House, key: str, status: int) -> None:
    async def check() -> None:
        async with house.client() as client:
            answer = await client.post("/signin", data={"token": key})
            assert answer.status_code == status

    run(check())


def test_signing_out_ends_the_session(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            await client.get("/signin", params={"token": house.links.issue()})
            session = client.cookies[COOKIE]
            await client.post("/signout")
            assert (await client.get("/", headers={"cookie": f"{COOKIE}={session}"})).status_code == 401

    run(check())


def test_a_session_changes_nothing_without_the_header_that_other_sites_cannot_send(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            await client.get("/signin", params={"token": house.links.issue()})
            assert (await client.get("/metrics")).status_code == 200
            assert (await client.post("/v1/events", content=EVENT)).status_code == 403
            ours = await client.post("/v1/events", content=EVENT, headers={"x-requested-with": "taximeter"})
            assert ours.status_code == 202

    run(check())


def test_a_name_and_password_that_a_browser_keeps_change_nothing(house: House) -> None:
    async def check() -> None:
        async with house.client() as client:
            kept = ("anybody", LOCAL_TOKEN)
            assert (await client.get("/metrics", auth=kept)).status_code == 200
            for ours in ({}, {"x-requested-with": "taximeter"}):
                assert (await client.post("/v1/events", content=EVENT, auth=kept, headers=ours)).status_code == 401

    run(check())


@pytest.mark.parametrize(
    "path", ["/assets/../../outside.txt", "/assets/%2e%2e/%2e%2e/outside.txt", "/assets/none.js", "/assets/"]
)
def test_no_path_leaves_the_page_directory(house: House, path: str) -> None:
    async def check() -> None:
        async with house.client("key-admin") as client:
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "secret" not in answer.text

    run(check())


@pytest.mark.parametrize(
    ("taken", "coding", "body"),
    [
        ("gzip, deflate, br, zstd", "br", b"as the build wrote it"),
        ("BR;q=0.5,gzip", "br", b"as the build wrote it"),
        ("gzip, br;q=0", "gzip", gzip.compress(b"console.log(1)", mtime=0)),
        ("br; q=0.000", None, b"console.log(1)"),
        ("identity", None, b"console.log(1)"),
    ],
)
def test_a_script_comes_compressed_as_far_as_the_browser_takes_it(
    built_page: Path, house: House, taken: str, coding: str | None, body: bytes
) -> None:
    (built_page / "assets" / "index-abc123.js.br").write_bytes(b"as the build wrote it")

    async def check() -> None:
        async with house.client() as client:
            await client.get("/signin", params={"token": house.links.issue()})
            wanted = client.stream("GET", "/assets/index-abc123.js", headers={"accept-encoding": taken})
            async with wanted as answer:
                assert answer.headers.get("content-encoding") == coding
                assert answer.headers["content-type"].startswith("text/javascript")
                assert answer.headers["vary"] == "accept-encoding"
                assert b"".join([part async for part in answer.aiter_raw()]) == body

    run(check())


def test_a_page_that_is_not_built_says_how(tmp_path: Path) -> None:
    async def check() -> None:
        async with House(tmp_path / "nothing").client("key-admin") as client:
            answer = await client.get("/")
            assert "make page" in answer.text

    run(check())


def test_auth_can_be_switched_off(built_page: Path) -> None:
    async def check() -> None:
        async with House(built_page, open_to_all=True).client() as client:
            assert (await client.get("/")).text == "<!doctype html>the page"
            assert (await client.get("/", headers={"authorization": "Bearer wrong"})).status_code == 401

    run(check())
