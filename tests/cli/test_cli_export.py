"""Calls as files: every kind has every call and every digit."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as arrow
import pytest
from moto.server import ThreadedMotoServer

from taximeter.cli import app as cli
from taximeter.cli import export
from taximeter.core.ids import uuid7
from taximeter.spool import Spool
from taximeter.store.events.columns import COLUMN_NAMES

CALLS = 7
FIRST_MS = 1_718_000_000_000
SINCE = ("--since", "2024-06-01", "--until", "2024-07-01")


class StoppedClock:
    def now_us(self) -> int:
        return FIRST_MS * 1000

    def monotonic(self) -> float:
        return 0.0


def event(number: int) -> bytes:
    record = {
        "event_id": uuid7(FIRST_MS + number, bytes(10)),
        "started_at": f"2024-06-10T06:13:0{number}Z",
        "provider": "openai",
        "request_model": "gpt-4o",
        "status": "ok",
        "source": "api",
        "user_id": f"u{number % 2}",
        "tags": {"plan": "pro"},
        "input_tokens": 1000,
        "output_tokens": 500 + number,
    }
    return json.dumps(record).encode()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("export") / "data"
    spool = Spool(directory / "spool", clock=StoppedClock(), writer="server")
    for number in range(CALLS):
        spool.append(event(number))
    spool.close()
    return directory


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_EVENTS", 3)


def exported(data: Path, file: Path, *more: str) -> Path:
    assert cli.run(["export", "--to", str(file), *SINCE, "--data", str(data), *more]) == 0
    assert not file.with_name(file.name + export.DRAFT).exists()
    return file


def test_lines_of_json(data: Path, tmp_path: Path) -> None:
    lines = exported(data, tmp_path / "calls.ndjson").read_text().splitlines()
    calls = [json.loads(line) for line in lines]
    assert [call["output_tokens"] for call in calls] == [506, 505, 504, 503, 502, 501, 500]
    assert set(calls[0]) == set(COLUMN_NAMES)


def test_csv(data: Path, tmp_path: Path) -> None:
    with exported(data, tmp_path / "calls.csv", "--where", "user=u1").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["output_tokens"] for row in rows] == ["505", "503", "501"]
    assert (rows[0]["tags"], rows[0]["time_to_first_token_ms"]) == ('{"plan": "pro"}', "")


def costs(data: Path, tmp_path: Path) -> list[Decimal]:
    lines = exported(data, tmp_path / "costs.json").read_text().splitlines()
    return [Decimal(json.loads(line)["cost_usd"]) for line in lines]


def test_parquet_has_decimals_moments_and_maps(data: Path, tmp_path: Path) -> None:
    file = exported(data, tmp_path / "calls.parquet")
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        selected = "cost_usd, cost.output, tags['plan'], started_at::VARCHAR"
        found: list[Any] = connection.execute(f"SELECT {selected} FROM read_parquet(?)", [str(file)]).fetchall()
    assert [row[0] for row in found] == costs(data, tmp_path)
    assert (found[0][1], found[0][2]) == (Decimal("0.00759"), "pro")
    assert found[0][3].startswith("2024-06-10 06:13:06")


def test_arrow(data: Path, tmp_path: Path) -> None:
    file = exported(data, tmp_path / "calls", "--format", "arrow")
    with arrow.OSFile(str(file), "rb") as source:
        table = arrow.ipc.open_file(source).read_all()
    assert table.column("cost_usd").to_pylist() == costs(data, tmp_path)


def test_charges_as_focus_has_them(data: Path, tmp_path: Path) -> None:
    chosen = ("--format", "focus", "--by", "user,tags.plan", "--billing-account", "org-1", "--where", "user=u1")
    with exported(data, tmp_path / "charges.csv", *chosen).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["SkuMeter"] for row in rows} == {"Input Tokens", "Output Tokens"}
    assert {(row["Tags"], row["BillingAccountId"]) for row in rows} == {
        ('{"user_id": "u1", "tags.plan": "pro"}', "org-1")
    }
    assert sum(float(row["ConsumedQuantity"]) for row in rows) == 3 * 1000 + 501 + 503 + 505


def test_a_bucket(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="spend-of-ours")
        command = ["export", *SINCE, "--data", str(data), "--to"]
        assert cli.run([*command, "s3://spend-of-ours/june/calls.csv"]) == 0
        there = s3.get_object(Bucket="spend-of-ours", Key="june/calls.csv")["Body"].read()
        assert cli.run([*command, "s3://nowhere-of-ours/calls.csv"]) == 1
    finally:
        server.stop()
    assert there == exported(data, tmp_path / "calls.csv").read_bytes()


@pytest.mark.parametrize("to", ["s3://spend/", "s3://spend/june/", "s3://calls.csv", "gs://spend/calls.csv"])
def test_what_is_no_place_for_a_file_is_refused(to: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", "--to", to, "--format", "csv", "--data", str(data)]) == 2
    assert "s3://BUCKET/KEY" in capsys.readouterr().err


def test_nothing_is_a_file_too(data: Path, tmp_path: Path) -> None:
    assert exported(data, tmp_path / "none.parquet", "--where", "user=nobody").exists()


def test_a_name_that_says_nothing_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", "--to", str(tmp_path / "calls.xlsx"), "--data", str(data)]) == 2
    assert "--format" in capsys.readouterr().err
