"""The outbox: whatever a service or a crash does, every notification goes out, in order, and is noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from test_channels import OPENED

from taximeter.alerts.channels.port import DeliveryError
from taximeter.alerts.delivery import GIVE_UP_US, Delivery
from taximeter.alerts.message import Message
from taximeter.alerts.states import SECOND_US
from taximeter.store.metadata import Letter, Metadata

START_US = 1_795_000_000_000_000


class HandClock:
    def __init__(self) -> None:
        self.us = START_US

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / SECOND_US


class Place:
    """A channel that fails as long as it is told to."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.took: list[str] = []
        self.threads: list[str | None] = []

    def deliver(self, message: Message, notification_id: str) -> str:
        assert replace(message, thread=None) == OPENED
        self.threads.append(message.thread)
        if self.failure is not None:
            raise self.failure
        self.took.append(notification_id)
        return f"receipt of {notification_id}"


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    opened = Metadata(tmp_path / "metadata.sqlite")
    yield opened
    opened.close()


class Rig:
    def __init__(self, metadata: Metadata) -> None:
        self.clock, self.place = HandClock(), Place()
        self.outbox = metadata.alerting
        self.delivery = Delivery(self.outbox, {"slack": self.place}, self.clock)

    def post(self, *ids: str, incident: str = "i", channel: str = "slack") -> None:
        self.clock.us += 1
        letters = [
            Letter(
                notification_id=one,
                incident_id=incident,
                channel=channel,
                event="opened",
                content=asdict(OPENED),
                state="waiting",
                tries=0,
                created_at_us=self.clock.us,
                due_at_us=self.clock.us,
            )
            for one in ids
        ]
        self.outbox.keep("{}", [], letters)

    def pass_seconds(self, seconds: int, step: int = 1) -> None:
        for _ in range(0, seconds, step):
            self.clock.us += step * SECOND_US
            self.delivery.run()


@pytest.fixture
def rig(metadata: Metadata) -> Rig:
    return Rig(metadata)


def test_a_letter_goes_out_once_and_is_noted(rig: Rig) -> None:
    rig.post("n1")
    rig.pass_seconds(3)
    assert rig.place.took == ["n1"]
    assert [letter.state for letter in rig.outbox.letters()] == ["delivered"]


def test_a_letter_that_is_posted_again_is_not_taken_twice(rig: Rig) -> None:
    rig.post("n1")
    rig.pass_seconds(1)
    rig.post("n1", "n2")
    rig.pass_seconds(1)
    assert rig.place.took == ["n1", "n2"]


def test_ten_minutes_without_the_service_lose_nothing_and_repeat_nothing(rig: Rig) -> None:
    rig.place.failure = DeliveryError("away")
    rig.post("n1")
    rig.post("n2")
    rig.pass_seconds(600, step=5)
    assert rig.place.took == []
    rig.place.failure = None
    rig.pass_seconds(700, step=5)
    assert rig.place.took == ["n1", "n2"]


def test_the_end_of_an_incident_never_overtakes_its_beginning(rig: Rig) -> None:
    rig.place.failure = DeliveryError("slow down", retry_after_seconds=60)
    rig.post("opened")
    rig.pass_seconds(1)
    rig.place.failure = None
    rig.post("resolved")
    rig.post("another", incident="j")
    rig.pass_seconds(30)
    assert rig.place.took == ["another"]
    rig.pass_seconds(60)
    assert rig.place.took == ["another", "opened", "resolved"]


def test_what_a_service_will_never_take_is_dead_at_once_and_holds_up_nothing(rig: Rig) -> None:
    rig.place.failure = DeliveryError("no such channel", permanent=True)
    rig.post("n1")
    rig.pass_seconds(1)
    rig.place.failure = None
    rig.post("n2")
    rig.pass_seconds(1)
    assert [(one.notification_id, one.state) for one in rig.outbox.letters()] == [("n2", "delivered"), ("n1", "dead")]
    assert rig.delivery.counts == {("slack", "dead"): 1, ("slack", "delivered"): 1}


def test_a_letter_that_cannot_even_be_laid_out_holds_up_no_other_and_is_tried_again(rig: Rig) -> None:
    rig.post("n1", incident="broken")
    rig.place.failure = ValueError("url attribute cannot exceed 3000 characters")
    rig.pass_seconds(1)
    rig.place.failure = None
    rig.post("n2")
    rig.pass_seconds(1)
    assert rig.place.took == ["n2"]
    [waiting] = rig.outbox.letters(state="waiting")
    assert waiting.error == "ValueError: url attribute cannot exceed 3000 characters"
    rig.pass_seconds(10)
    assert rig.place.took == ["n2", "n1"]


def test_after_a_day_a_letter_is_given_up_and_says_why(rig: Rig) -> None:
    rig.place.failure = DeliveryError("away")
    rig.post("n1")
    rig.clock.us += GIVE_UP_US
    rig.pass_seconds(1)
    (letter,) = rig.outbox.letters(state="dead")
    assert letter.error == "away"


def test_a_channel_that_is_gone_from_the_configuration_is_no_reason_to_wait(rig: Rig) -> None:
    rig.post("n1", channel="removed")
    rig.delivery.tidy()
    assert [letter.state for letter in rig.outbox.letters()] == ["dead"]


def test_a_channel_is_given_back_what_it_called_its_first_message_of_an_incident(rig: Rig) -> None:
    rig.post("i/1")
    rig.post("i/2")
    rig.post("j/1", incident="j")
    rig.pass_seconds(1)
    rig.post("i/3")
    rig.pass_seconds(1)
    assert list(zip(rig.place.took, rig.place.threads, strict=True)) == [
        ("i/1", None),
        ("i/2", "receipt of i/1"),
        ("j/1", None),
        ("i/3", "receipt of i/1"),
    ]
