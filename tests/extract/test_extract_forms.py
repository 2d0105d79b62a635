"""Forms with files in them say the model in a field."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.extract.forms import LONGEST_FIELD_BYTES, form_fields

KIND = "multipart/form-data; boundary=b"


def part(disposition: str, value: str) -> str:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n"


def test_a_form_of_httpx_gives_its_fields_and_not_its_files() -> None:
    sound = b"\x00\r\n--\r\n\r\n" * 50_000
    request = httpx.Request(
        "POST",
        "http://x/v1/audio/transcriptions",
        files={"file": ("a.wav", sound)},
        data={"model": "whisper-1", "language": "dé"},
    )
    assert form_fields(request.headers["content-type"], request.read()) == {"model": "whisper-1", "language": "dé"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (part('name="model"', "m") + "--b--", {"model": "m"}),
        ("preamble\r\n" + part("name=model", "m") + "--b--\r\n", {"model": "m"}),
        (part('name="model"; filename="model"', "m") + "--b--", {}),
        (part('name="model"', "m") + part('name="model"', "n") + "--b--", {"model": "m"}),
        (part('name="long"', "x" * LONGEST_FIELD_BYTES) + part('name="model"', "m") + "--b--", {"model": "m"}),
        (part('name="model"', "cut off"), {}),
        ("--b\r\n\r\nno headers\r\n--b--", {}),
        ("", {}),
    ],
)
def test_fields(body: str, fields: dict[str, str]) -> None:
    assert form_fields(KIND, body.encode()) == fields


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary="])
def test_what_is_no_form_has_no_fields(kind: str) -> None:
    assert form_fields(kind, part('name="model"', "m").encode()) == {}


@given(kind=st.text(), body=st.binary())
def test_nothing_is_raised(kind: str, body: bytes) -> None:
    form_fields(f"multipart/form-data; boundary={kind}", body)
    form_fields(KIND, b"--b\r\n" + body + b"\r\n--b--")
