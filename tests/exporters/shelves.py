"""Places that files are put into and can be read from again: a folder, and a bucket of moto's server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import boto3

from taximeter.config.exporting import FileSettings
from taximeter.exporters.filing import Place
from taximeter.exporters.folder import Folder
from taximeter.exporters.registry import open_place


class Shelf(Protocol):
    """A place that can be read too."""

    @property
    def to(self) -> str: ...

    @property
    def place(self) -> Place: ...

    def files(self) -> dict[str, bytes]: ...


@dataclass
class OnDisk:
    root: Path

    @property
    def to(self) -> str:
        return str(self.root)

    @property
    def place(self) -> Place:
        return Folder(self.root)

    def files(self) -> dict[str, bytes]:
        found = (file for file in self.root.rglob("*") if file.is_file())
        return {str(file.relative_to(self.root)): file.read_bytes() for file in found}


@dataclass
class InBucket:
    url: str
    bucket: str

    @property
    def to(self) -> str:
        return f"s3://{self.bucket}/spend"

    @property
    def place(self) -> Place:
        return open_place(FileSettings(to=self.to, region="us-east-1", endpoint_url=self.url))

    @property
    def _s3(self) -> Any:
        return boto3.client("s3", region_name="us-east-1", endpoint_url=self.url)

    def make(self) -> None:
        self._s3.create_bucket(Bucket=self.bucket)

    def files(self) -> dict[str, bytes]:
        keys = [one["Key"] for one in self._s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]
        read = {key: self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix("spend/"): body for key, body in read.items()}


def new_bucket(url: str) -> InBucket:
    """A bucket of its own: moto keeps what it has as long as this process lives."""
    made = InBucket(url, f"spend-{uuid4()}")
    made.make()
    return made


def copied(shelf: Shelf, folder: Path) -> Iterator[Path]:
    """The files of a shelf, as whoever fetches them has them."""
    for name, body in shelf.files().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
        yield file
