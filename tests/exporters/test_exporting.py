"""Exports of a server, put together: jobs that do it, readings for `/metrics`."""

from __future__ import annotations

from decimal import Decimal

from export_rig import World
from prometheus_client import CollectorRegistry, generate_latest
from receivers import WebhookReceiver, listening

from taximeter.compose.exporting import SPEND_FEED, Exporting, open_exporting
from taximeter.compose.jobs import Jobs
from taximeter.config.file import parse


def exposed(exporting: Exporting) -> str:
    registry = CollectorRegistry(auto_describe=False)
    for collector in exporting.collectors:
        registry.register(collector)
    return generate_latest(registry).decode()


def test_the_jobs_of_a_server_tell_its_exporters_and_its_metrics(here: World) -> None:
    receiver = WebhookReceiver()
    with listening(receiver.take) as url:
        settings = parse(f"exporters: {{to: {{hook: {{kind: webhook, url: '{url}'}}}}}}", {})
        jobs = Jobs(here.clock)
        kept, alerting = here.metadata.exports, here.metadata.alerting
        exporting = open_exporting(settings, here.store, kept, here.clock, jobs, list, alerting)
        here.call()
        jobs._jobs["exports"].turn()
        here.clock.at_us += 90_000_000
        assert 'taximeter_export_lag_seconds{exporter="hook"} 90.0' in exposed(exporting)
        assert jobs.status["export to hook"].lag_seconds == 90.0
        for name in ("exports", "exports by user", "exports of latencies", "latencies", "export to hook", "exported"):
            jobs._jobs[name].turn()
            assert jobs.status[name].last_error is None
    assert receiver.sums()["cost_usd"] == Decimal("0.0125")
    assert kept.windows(SPEND_FEED, 0, 10) == [], "what everybody has is not kept"
    text = exposed(exporting)
    assert 'taximeter_export_lag_seconds{exporter="hook"} 0.0' in text
    assert 'taximeter_call_duration_seconds_count{model="gpt-4o",operation="chat"' in text
    assert 'taximeter_user_cost_usd_total{user_id="ann"} 0.0125' in text
    assert 'taximeter_task_failures_total{task="export to hook"} 0.0' in text
