"""What is paid by another unit than tokens: answer -> units -> cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from taximeter.core.cost import Cost, Unpriced
from taximeter.core.usage import Usage
from taximeter.extract import Reading, flavour_for
from taximeter.pricing import Priceable, load_price_book
from taximeter.pricing.priceable import parse_instant

NOON = parse_instant("2026-11-30T12:00:00Z")


def cost(provider: str, model: str, usage: Usage) -> Decimal | None:
    found = load_price_book().price(Priceable(provider, model, NOON, usage))
    assert isinstance(found, Cost | Unpriced)
    return found.total if isinstance(found, Cost) else None


PICTURE = {"mimeType": "image/png", "bytesBase64Encoded": "iVBORw0KGgo="}
STORED = {"mimeType": "image/png", "gcsUri": "gs://bucket/picture.png"}
HELD_BACK = {"raiFilteredReason": "unsafe"}


def drawn(model: str, *predictions: Any) -> Reading:
    flavour = flavour_for("gemini", "POST", f"/v1/projects/p/locations/l/publishers/google/models/{model}:predict")
    assert flavour is not None
    asked = flavour.read_request({"instances": [{"prompt": "a taxi"}], "parameters": {"sampleCount": 4}})
    assert (asked.operation, asked.model, asked.input_characters) == ("image_generation", model, 6)
    return flavour.read_answer(200, {"predictions": list(predictions)})


PICTURES = [
    ("imagen-4.0-generate-001", [PICTURE], 1, "0.04"),
    ("imagen-4.0-fast-generate-001", [PICTURE, STORED, PICTURE], 3, "0.06"),
    ("imagen-4.0-ultra-generate-001", [PICTURE, HELD_BACK], 1, "0.06"),
    ("imagen-3.0-generate-002", [PICTURE, PICTURE], 2, "0.08"),
    ("imagegeneration@006", [PICTURE, "odd", None], 1, None),
]


@pytest.mark.parametrize(("model", "predictions", "pictures", "usd"), PICTURES)
@pytest.mark.parametrize("provider", ["google", "google-vertex"])
def test_a_picture_costs_by_the_piece_and_its_model(
    provider: str, model: str, predictions: list[Any], pictures: int, usd: str | None
) -> None:
    read = drawn(model, *predictions)
    assert (read.finished, read.not_billed, read.usage) == (True, False, Usage(units={"images": pictures}))
    assert cost(provider, model, read.usage) == (None if usd is None else Decimal(usd))


def test_pictures_that_were_all_held_back_are_not_charged() -> None:
    read = drawn("imagen-4.0-generate-001", HELD_BACK)
    assert (read.finished, read.not_billed, read.usage.known) == (True, True, False)


def test_an_error_instead_of_pictures_is_not_charged() -> None:
    flavour = flavour_for("gemini", "POST", "/v1beta/models/imagen-4.0-generate-001:predict")
    assert flavour is not None
    read = flavour.read_answer(429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}})
    assert (read.not_billed, read.error_type, read.usage.known) == (True, "RESOURCE_EXHAUSTED", False)


@pytest.mark.parametrize(
    ("model", "unit", "usd"), [("sora-2", "video_seconds", "0.8"), ("sora-2", "video_seconds_1080p", None)]
)
def test_azure_takes_for_a_video_what_openai_takes(model: str, unit: str, usd: str | None) -> None:
    assert cost("azure", model, Usage(units={unit: 8})) == (None if usd is None else Decimal(usd))
