"""What goes over the wire, and what answers mean."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Mapping
from decimal import Decimal
from uuid import uuid4

import pytest
from receivers import CloudWatchLogs, DatadogIntake, OtlpReceiver, WebhookReceiver, aws, listening

from taximeter.compose.exporting import mistakes
from taximeter.config.file import parse
from taximeter.exporters.port import Exporter, ExportError, NotTakenError, Parcel
from taximeter.exporters.registry import open_exporters
from taximeter.exporters.series import series_key


def parcel(series: int = 1) -> Parcel:
    amounts = {
        series_key(["openai", f"model-{number}", ""]): {
            "cost_usd": Decimal("0.000000000001"),
            "calls": Decimal(2),
            "input_tokens": Decimal(10),
            "output_tokens": Decimal(5),
        }
        for number in range(series)
    }
    return Parcel(
        id="it-1",
        at_us=1_795_000_000_000_000,
        from_us=1,
        to_us=2,
        since_us=0,
        labels=["provider", "model", "feature"],
        amounts=amounts,
        totals=amounts,
    )


def opened(kind: str, **settings: object) -> Exporter:
    exporters, wrong = open_exporters({"it": {"kind": kind, **settings}})
    assert wrong == []
    return exporters["it"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, NotTakenError), (403, NotTakenError), (429, NotTakenError), (500, ExportError), (0, ExportError)],
)
def test_what_an_answer_means(status: int, kind: type[ExportError]) -> None:
    def take(_path: str, _headers: Mapping[str, str], _body: bytes) -> int:
        return status

    with listening(take) as url:
        exporter = opened("datadog", api_key="k", url=url)
        with pytest.raises(ExportError) as raised:
            exporter.send(parcel())
    assert type(raised.value) is kind


def test_where_nobody_listens_nothing_was_taken() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotTakenError):
        opened("webhook", url=f"http://127.0.0.1:{port}").send(parcel())


def test_a_parcel_refused_in_the_middle_may_have_been_taken_in_part() -> None:
    answers = [202, 429]

    def take(_path: str, _headers: Mapping[str, str], _body: bytes) -> int:
        return answers.pop(0)

    with listening(take) as url, pytest.raises(ExportError) as raised:
        opened("datadog", api_key="k", url=url).send(parcel(series=300))
    assert type(raised.value) is ExportError


def test_datadog_gets_counts_with_tags_and_exact_numbers() -> None:
    intake = DatadogIntake()
    with listening(intake.take) as url:
        opened("datadog", api_key=DatadogIntake.KEY, url=url, tags={"service": "shop"}).send(parcel())
    tags = ("model:model-0", "provider:openai", "service:shop")
    assert intake.points["llm.cost_usd", tags, 1_795_000_000] == Decimal("0.000000000001")
    assert intake.points["llm.tokens", tuple(sorted((*tags, "token_class:input"))), 1_795_000_000] == 10


def test_a_webhook_is_signed() -> None:
    receiver = WebhookReceiver()
    with listening(receiver.take) as url:
        opened("webhook", url=url, secret="s", headers={"Authorization": "Bearer t"}).send(parcel())
    (body,), (headers,) = receiver.bodies.values(), receiver.headers
    signature = hmac.new(b"s", body, hashlib.sha256).hexdigest()
    assert headers["x-taximeter-signature"] == f"sha256={signature}"
    assert headers["authorization"] == "Bearer t"
    assert json.loads(body)["amounts"][0]["cost_usd"] == "0.000000000001"


def test_otlp_has_the_names_of_the_genai_conventions() -> None:
    receiver = OtlpReceiver()
    with listening(receiver.take) as url:
        opened("otlp", url=url + "/v1/metrics").send(parcel())
    model = (("gen_ai.provider.name", "openai"), ("gen_ai.response.model", "model-0"))
    assert receiver.usage[(*model, ("gen_ai.token.type", "input"))] == (2, 10.0)
    assert receiver.points["taximeter.calls", model, 0] == 2


def test_cloudwatch_gets_records_that_are_metrics_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with aws() as url:
        group = f"/taximeter/{uuid4()}"  # moto keeps what it has as long as this process lives
        opened("cloudwatch", region="us-east-1", endpoint_url=url, log_group=group).send(parcel(series=2100))
        records = CloudWatchLogs(url, group).records()
    assert len(records) == 2100
    first = next(record for record in records if record["model"] == "model-0")
    about = first["_aws"]["CloudWatchMetrics"][0]
    assert about["Dimensions"] == [["provider", "model", "feature"]]
    assert {metric["Name"] for metric in about["Metrics"]} == {"cost_usd", "calls", "input_tokens", "output_tokens"}
    assert (first["feature"], first["cost_usd"]) == ("-", Decimal("0.000000000001"))


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ("labels: [nonsense]", "exporters.labels.0"),
        ("to: {dd: {kind: datadogg}}", "exporters.to.dd.kind"),
        ("to: {dd: {kind: datadog}}", "exporters.to.dd.api_key"),
        ("to: {hook: {kind: webhook, url: 'http://x', nonsense: 1}}", "exporters.to.hook.nonsense"),
    ],
)
def test_mistakes_are_told_by_their_place(settings: str, where: str) -> None:
    parsed = parse(f"exporters: {{{settings}}}", {})
    assert [mistake.where for mistake in mistakes(parsed)] == [where]
