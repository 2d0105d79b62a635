"""CloudWatch Logs in the embedded metric format: one record is a line of the log and the metrics of a series.

A batch is taken as a whole or not at all. Before a parcel that may have been taken is sent again, the log is asked for
it: no other parcel has its stamp, so what is found there at that millisecond is the part that was taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import boto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import Field

from taximeter.clock import rfc3339
from taximeter.config.section import Section
from taximeter.exporters.batches import batches
from taximeter.exporters.port import ExportError, NotTakenError, Parcel
from taximeter.exporters.series import series_values

MOST_RECORDS: Final = 1_000
MOST_BYTES: Final = 900_000
"""Of one batch: below the service's 10,000 events and 1,048,576 bytes."""
OVERHEAD_BYTES: Final = 26
"""What the service adds to every event when it counts a batch."""

TIMEOUT_SECONDS: Final = 10.0
NOTHING: Final = "-"
"""The value of a label that a call does not have: dimensions are never empty."""

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class CloudWatchSettings(Section):
    """`exporters.to.<name>` with the kind `cloudwatch`. Credentials come from where the AWS tools find them."""

    kind: str
    log_group: str = Field(default="/taximeter/spend", description="Made when it is not there.")
    namespace: str = Field(default="taximeter", description="Of the metrics.")
    region: str | None = Field(default=None, description="Otherwise that of the AWS configuration.")
    endpoint_url: str | None = Field(default=None, description="Another address of the service.")
    retention_days: int = Field(default=30, description="How long the log is kept; a number the service knows.")


class CloudWatch:
    tells_latencies = False

    def __init__(self, settings: CloudWatchSettings) -> None:
        self._settings = settings
        times = {"connect_timeout": TIMEOUT_SECONDS, "read_timeout": TIMEOUT_SECONDS}
        config = Config(**times, retries={"total_max_attempts": 1})
        try:
            self._logs = boto3.client(
                "logs", region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
            )
        except BotoCoreError as error:
            raise ValueError(str(error)) from error
        self._streams: set[str] = set()

    def send(self, parcel: Parcel) -> None:
        stream = rfc3339(parcel.at_us)[:10]
        taken = 0
        try:
            self._open(stream)
            records = list(_records(parcel, self._settings.namespace))
            taken = self._found(parcel, stream) if parcel.again else 0
            for batch in _batches(records[taken:]):
                self._put(stream, parcel.at_us // 1000, batch)
                taken += len(batch)
        except ClientError as error:
            refused = error.response["ResponseMetadata"]["HTTPStatusCode"] < 500 and not taken
            raise (NotTakenError if refused else ExportError)(f"CloudWatch: {error}") from error
        except BotoCoreError as error:
            raise ExportError(f"CloudWatch does not answer: {error}") from error

    def _open(self, stream: str) -> None:
        if stream in self._streams:
            return
        group, there = self._settings.log_group, self._logs.exceptions.ResourceAlreadyExistsException
        with suppress(there):
            self._logs.create_log_group(logGroupName=group)
            self._logs.put_retention_policy(logGroupName=group, retentionInDays=self._settings.retention_days)
        with suppress(there):
            self._logs.create_log_stream(logGroupName=group, logStreamName=stream)
        self._streams = {stream}

    def _put(self, stream: str, at_ms: int, batch: Sequence[str]) -> None:
        events = [{"timestamp": at_ms, "message": message} for message in batch]
        self._logs.put_log_events(logGroupName=self._settings.log_group, logStreamName=stream, logEvents=events)

    def _found(self, parcel: Parcel, stream: str) -> int:
        """How many records of a parcel the log has."""
        at_ms = parcel.at_us // 1000
        asked: dict[str, Any] = {
            "logGroupName": self._settings.log_group,
            "logStreamNames": [stream],
            "startTime": at_ms,
            "endTime": at_ms + 1,
        }
        found = 0
        while True:
            page = self._logs.filter_log_events(**asked)
            found += sum(f'"parcel":"{parcel.id}"' in event["message"] for event in page["events"])
            if not page.get("nextToken"):
                return found
            asked["nextToken"] = page["nextToken"]


def _records(parcel: Parcel, namespace: str) -> Iterator[str]:
    for key, amounts in sorted(parcel.amounts.items()):
        labels = zip(parcel.labels, series_values(key), strict=True)
        metrics = [{"Name": name, "Unit": "None" if name.endswith("_usd") else "Count"} for name in sorted(amounts)]
        about = {"Namespace": namespace, "Dimensions": [list(parcel.labels)], "Metrics": metrics}
        yield _encode(
            {
                "_aws": {"Timestamp": parcel.at_us // 1000, "CloudWatchMetrics": [about]},
                "parcel": parcel.id,
                **{label: value or NOTHING for label, value in labels},
                **amounts,
            }
        ).decode()


def _batches(records: Sequence[str]) -> Iterator[list[str]]:
    return batches(records, _bytes, most=MOST_RECORDS, most_bytes=MOST_BYTES)


def _bytes(record: str) -> int:
    return len(record.encode()) + OVERHEAD_BYTES
