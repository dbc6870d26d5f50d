"""Dead letters: what is known of a reject comes back whole, and so does its pet's partition."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.readings.dead_letters import (
    BY_KEY,
    DETAIL_BYTES,
    LENGTH,
    DeadLetter,
    encode_headers,
    parse_dead_letter,
    partition_back,
)
from pettwin_pipeline.readings.schema import Reject, RejectReason

BYTES = st.none() | st.binary(max_size=20)
REJECTS = st.builds(
    Reject,
    partition=st.integers(0, 1000),
    offset=st.integers(0, 2**60),
    key=BYTES,
    value=BYTES,
    reason=st.sampled_from(RejectReason),
    detail=st.text(max_size=50),
    kafka_ms=st.integers(-1, 2**50),
)


def letter(
    partition: int = 2, key: bytes | None = b"rex", epoch: str = "now", partitions: int = 4
) -> DeadLetter:
    reject = Reject(partition, 7, key, b"{", RejectReason.NOT_JSON, "broken", 1_772_323_200_123)
    return DeadLetter(reject, "readings", epoch, partitions)


@given(REJECTS, st.text(max_size=20), st.text(max_size=20), st.integers(1, 1000))
def test_what_is_known_of_a_reject_comes_back_whole(
    reject: Reject, topic: str, epoch: str, partitions: int
) -> None:
    one = DeadLetter(reject, topic, epoch, partitions)
    assert parse_dead_letter(reject.key, reject.value, dict(encode_headers(one))) == one


def test_headers_are_text_that_people_can_read() -> None:
    assert dict(encode_headers(letter())) == {
        "reason": b"not_json",
        "detail": b"broken",
        "topic": b"readings",
        "epoch": b"now",
        "partitions": b"4",
        "partition": b"2",
        "offset": b"7",
        "timestamp": b"1772323200123",
    }


def test_a_long_detail_is_cut_wherever_a_character_ends() -> None:
    reject = Reject(0, 0, None, b"", RejectReason.NOT_JSON, "ä" * DETAIL_BYTES)
    headers = dict(encode_headers(DeadLetter(reject, "t", "e", 1)))
    assert len(headers["detail"]) == DETAIL_BYTES
    headers["detail"] = headers["detail"][:-1]
    found = parse_dead_letter(None, b"", headers)
    assert found is not None
    assert found.reject.detail.startswith("ää")


@pytest.mark.parametrize("name", ["reason", "topic", "epoch", "partitions", "partition", "offset"])
def test_a_message_that_lacks_a_header_is_no_letter_of_ours(name: str) -> None:
    headers = dict(encode_headers(letter()))
    del headers[name]
    assert parse_dead_letter(b"rex", b"{", headers) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("reason", b"bad_mood"), ("partition", b"two"), ("topic", b"\xff"), ("timestamp", b"")],
)
def test_a_header_that_means_nothing_makes_no_letter_of_ours(name: str, value: bytes) -> None:
    headers = dict(encode_headers(letter())) | {name: value}
    assert parse_dead_letter(b"rex", b"{", headers) is None


def test_a_header_without_a_value_makes_no_letter_of_ours() -> None:
    headers: dict[str, Any] = dict.fromkeys(dict(encode_headers(letter())))
    assert parse_dead_letter(b"rex", b"{", headers) is None


@pytest.mark.parametrize(
    ("one", "goes_to"),
    [
        (letter(2), 2),
        (letter(9), BY_KEY),  # the topic has only four
        (letter(2, epoch="before"), BY_KEY),
        (letter(2, partitions=3), BY_KEY),  # there was one less
        (letter(2, key=None), 2),
        (letter(2, key=None, epoch="before"), 2),
        (letter(9, key=None), BY_KEY),
    ],
)
def test_a_letter_goes_back_to_the_partition_of_its_pet(one: DeadLetter, goes_to: int) -> None:
    assert partition_back(one, "now", range(4)) == goes_to


def test_a_letter_with_a_length_holds_only_the_beginning_of_its_message() -> None:
    headers = dict(encode_headers(letter())) | {LENGTH: b"9000001"}
    found = parse_dead_letter(b"rex", b"{", headers)
    assert found is not None
    assert not found.is_whole
