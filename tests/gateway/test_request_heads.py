"""What the headers of a request say."""

from __future__ import annotations

from taximeter.gateway.heads import RequestHead


def test_tags_in_several_headers_are_all_meant() -> None:
    headers = [
        (b"x-taximeter-tags", b"a=1,b=2"),
        (b"x-taximeter-team", b"one"),
        (b"x-taximeter-tags", b"b=3,c=4"),
        (b"x-taximeter-team", b"two"),
    ]
    said = RequestHead(headers).attribution()
    assert (dict(said.tags), said.team) == ({"a": "1", "b": "3", "c": "4"}, "two")


def test_the_process_that_calls_is_named() -> None:
    head = RequestHead(
        [
            (b"x-taximeter-service", b"check%20out"),
            (b"x-taximeter-service-version", b"1.2"),
            (b"x-taximeter-environment", b"prod"),
        ]
    )
    said = head.attribution()
    assert (said.service, said.service_version, said.environment) == ("check out", "1.2", "prod")
    assert head.forward == []
