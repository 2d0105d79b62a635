"""A bucket of S3, or of what speaks like it, that files are put into.

boto3, since CloudWatch needs it already and finds credentials as the AWS tools do. A file is one PutObject: the bucket
has it as a whole or not at all, and a crash leaves no parts behind that somebody pays for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from taximeter.exporters.port import ExportError

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 60.0
ATTEMPTS: Final = 3
"""Of one file in one turn."""


class Bucket:
    """`to` is `s3://bucket/prefix`. Raises ValueError when it is not, or no region is known."""

    def __init__(self, to: str, region: str | None, endpoint_url: str | None) -> None:
        place = urlsplit(to)
        self._bucket, self._prefix = place.netloc, place.path.strip("/")
        if not self._bucket:
            raise ValueError("should be s3://BUCKET/PREFIX")
        times = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        config = Config(**times, retries={"total_max_attempts": ATTEMPTS})
        try:
            self._s3 = boto3.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
        except BotoCoreError as error:
            raise ValueError(str(error)) from error

    def put(self, name: str, file: Path) -> None:
        key = f"{self._prefix}/{name}" if self._prefix else name
        try:
            with file.open("rb") as body:
                self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        except (BotoCoreError, ClientError) as error:
            raise ExportError(f"s3://{self._bucket}/{key}: {error}") from error
