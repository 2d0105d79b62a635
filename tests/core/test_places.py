"""What an address says of where a call is served."""

from __future__ import annotations

import pytest

from taximeter.core.places import region_at, region_in


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("bedrock-runtime.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://bedrock-runtime.us-gov-west-1.amazonaws.com/model/m/converse", "us-gov-west-1"),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com:443", "us-east-1"),
        ("vpce-0a1.bedrock-runtime.ap-southeast-2.vpce.amazonaws.com", "ap-southeast-2"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("bedrock-mantle.ap-southeast-2.api.aws", "ap-southeast-2"),
        ("us-east5-aiplatform.googleapis.com", "us-east5"),
        ("https://europe-west1-aiplatform.googleapis.com/v1", "europe-west1"),
        ("us-central1-aiplatform.mtls.googleapis.com", "us-central1"),
        ("aiplatform.eu.rep.googleapis.com", "eu"),
        ("aiplatform.googleapis.com", "global"),
        ("https://aiplatform.googleapis.com/v1", "global"),
        ("generativelanguage.googleapis.com", None),
        ("api.openai.com", None),
        ("s3.amazonaws.com", None),
        ("us-east5-aiplatform.googleapis.com.example", "us-east5"),  # whoever is called so has its reasons
        ("notaiplatform.googleapis.com", None),
        ("127.0.0.1", None),
        ("", None),
    ],
)
def test_a_host_names_its_region(address: str, region: str | None) -> None:
    assert region_at(address) == region


@pytest.mark.parametrize(
    ("path", "region"),
    [
        ("/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-opus-4-5:rawPredict", "us-east5"),
        ("/v1beta1/projects/p/locations/global/publishers/google/models/g:generateContent", "global"),
        ("/v1/chat/completions", None),
        ("/locations/", None),
        (f"/v1/projects/p/locations/{'x' * 65}/publishers/google/models/g:generateContent", None),
    ],
)
def test_a_path_of_vertex_names_its_region(path: str, region: str | None) -> None:
    assert region_in(path) == region
