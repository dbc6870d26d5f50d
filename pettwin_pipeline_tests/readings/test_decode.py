import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pettwin_pipeline.readings import decode
from pettwin_pipeline.readings.decode import decode_batch
from pettwin_pipeline.readings.examination import Fault, examine
from pettwin_pipeline.readings.message import MAX_BYTES
from pettwin_pipeline.readings.schema import (
    PHYSICAL_RANGES,
    READING_SCHEMA,
    AgeLimits,
    RejectReason,
)
from pettwin_pipeline_tests.readings.strategies import (
    ANY_MESSAGE,
    KAFKA_MS,
    NAMES,
    NEEDED,
    NOON,
    NOON_MS,
    ODD_VALUES,
    at_offsets,
    carefully,
    odd_messages,
    render,
)

GOOD = {"pet_id": "p1", "timestamp": NOON, "heart_rate": 60.5}


def message(without: str = "", /, **changes: Any) -> bytes:
    fields = {**GOOD, **changes}
    fields.pop(without, None)
    return json.dumps(fields).encode()


def replaced(old: str, new: str) -> bytes:
    return message().decode().replace(old, new, 1).encode()


def only(value: bytes | None, kafka_ms: int = NOON_MS) -> dict[str, Any]:
    """The one reading of a message."""
    decoded = decode_batch(**at_offsets([value], [kafka_ms]))
    assert not decoded.rejects
    return decoded.readings.row(0, named=True)


def refused(value: bytes | None, kafka_ms: int = NOON_MS) -> tuple[str, str]:
    """Reason and detail of a message that is no reading."""
    decoded = decode_batch(**at_offsets([value], [kafka_ms]))
    assert decoded.readings.is_empty()
    (reject,) = decoded.rejects
    assert reject.value == value
    return reject.reason.value, reject.detail


def test_a_full_message_becomes_a_row_of_every_column() -> None:
    sent: dict[str, Any] = {
        "activity_score": 12,
        "gait_symmetry": 0.95,
        "sleep_quality": 0,
        "species": "dog",
        "breed": "épagneul",
        "size": "medium",
        "weight_kg": 14.2,
        "age_years": 3,
        "respiratory_rate": 18.5,
        "temperature_c": 38.4,
        "battery": 99,
        "schema_version": 1,
        "firmware": {"unknown": ["is", "passed", "over"]},
    }
    value = message(**sent)[:-1] + b', "metadata": { "a" :[1, "\\u00e9"]} }'
    row = only(value)
    expected = {name: sent[name] for name in READING_SCHEMA if name in sent}
    expected |= {"partition": 0, "offset": 0, "kafka_ms": NOON_MS, "pet_id": "p1"}
    expected |= {"time_ms": NOON_MS, "heart_rate": 60.5, "metadata": '{ "a" :[1, "\\u00e9"]}'}
    assert row == expected
    assert list(row) == list(READING_SCHEMA)


def test_null_and_absent_are_the_same() -> None:
    nulls: dict[str, Any] = dict.fromkeys(
        ["activity_score", "breed", "battery", "metadata", "schema_version"]
    )
    assert only(message(**nulls)) == only(message())
    assert only(message())["activity_score"] is None


def test_no_messages_are_no_readings() -> None:
    decoded = decode_batch(**at_offsets([]))
    assert decoded.readings.schema == pl.Schema(READING_SCHEMA)
    assert len(decoded.readings) == len(decoded.rejects) == 0


REJECTS: list[tuple[RejectReason, bytes | None, str]] = [
    (RejectReason.TOMBSTONE, None, "without a value"),
    (RejectReason.TOO_LARGE, message(x="x" * MAX_BYTES), "at most 65536"),
    (RejectReason.NOT_UTF8, b'{"breed": "\xff"}', "byte 11"),
    (RejectReason.NOT_UTF8, message()[:-1] + b', "unknown": "\xc3"}', "byte 86"),
    (RejectReason.NOT_UTF8, message().decode().encode("utf-16"), "byte 0"),
    (RejectReason.NOT_JSON, b"", "Expecting value"),
    (RejectReason.NOT_JSON, b"\xef\xbb\xbf" + message(), "Expecting value"),
    (RejectReason.NOT_JSON, message().decode().encode("utf-16-le"), "Expecting property"),
    (RejectReason.NOT_JSON, message() + message(), "Extra data"),
    (RejectReason.NOT_JSON, message() + b"\x00", "Extra data"),
    (RejectReason.NOT_JSON, b'{"pet_id": "p1"', "delimiter"),
    (RejectReason.NOT_JSON, b"{'pet_id': 'p1'}", "Expecting property"),
    (RejectReason.NOT_JSON, b"[" * 30_000, "more than 64 deep"),
    (RejectReason.NOT_JSON, b'"\\' * 30_000, "Unterminated"),
    (RejectReason.WRONG_TYPE, b"[]", "message: [] is not an object"),
    (RejectReason.WRONG_TYPE, b"NaN", "message: NaN is not an object"),
    (RejectReason.WRONG_TYPE, b"null", "message: null is not an object"),
    (RejectReason.WRONG_TYPE, message(schema_version="1"), 'schema_version: "1"'),
    (RejectReason.WRONG_TYPE, message(schema_version=1.0), "schema_version: 1.0"),
    (RejectReason.WRONG_TYPE, message(schema_version=True), "schema_version: true"),
    (RejectReason.UNKNOWN_SCHEMA_VERSION, message(schema_version=2), "schema_version: 2"),
    (RejectReason.UNKNOWN_SCHEMA_VERSION, message(schema_version=10**400), "100000"),
    (RejectReason.MISSING_FIELD, b"{}", "pet_id: missing"),
    (RejectReason.MISSING_FIELD, message(pet_id=None), "pet_id: missing"),
    (RejectReason.MISSING_FIELD, message("timestamp"), "timestamp: missing"),
    (RejectReason.MISSING_FIELD, message("heart_rate", battery=5), "none of heart_rate"),
    (RejectReason.MISSING_FIELD, message(heart_rate=None), "none of heart_rate"),
    (RejectReason.WRONG_TYPE, message(pet_id=7), "pet_id: 7 is not a text"),
    (RejectReason.WRONG_TYPE, message(timestamp=1772366400), "timestamp: 1772366400 is not a text"),
    (RejectReason.WRONG_TYPE, message(heart_rate="60.5"), 'heart_rate: "60.5" is not a number'),
    (RejectReason.WRONG_TYPE, message(heart_rate=True), "heart_rate: true is not a number"),
    (RejectReason.WRONG_TYPE, message(battery=[5]), "battery: [5] is not a number"),
    (RejectReason.WRONG_TYPE, message(size=3), "size: 3 is not a text"),
    (RejectReason.WRONG_TYPE, message(metadata="{}"), 'metadata: "{}" is not an object'),
    (RejectReason.WRONG_TYPE, message(metadata=[1]), "metadata: [1] is not an object"),
    (RejectReason.WRONG_TYPE, message(pet_id="\ud800"), r'pet_id: "\ud800" is not a text'),
    (RejectReason.NOT_FINITE, message(heart_rate=math.nan), "heart_rate: NaN"),
    (RejectReason.NOT_FINITE, message(temperature_c=-math.inf), "temperature_c: -Infinity"),
    (RejectReason.NOT_FINITE, message(metadata={"a": math.nan}), "metadata: NaN or Infinity"),
    (RejectReason.OUT_OF_RANGE, message(heart_rate=4.9), "heart_rate: 4.9 is not within 5 to 400"),
    (RejectReason.OUT_OF_RANGE, message(heart_rate=10**400), "heart_rate: 10000"),
    (RejectReason.OUT_OF_RANGE, replaced("60.5", "1e400"), "heart_rate: 1e400"),
    (RejectReason.OUT_OF_RANGE, message(pet_id=""), 'pet_id: "" is empty'),
    (RejectReason.OUT_OF_RANGE, message(pet_id=" \u00a0"), "is empty"),
    (RejectReason.OUT_OF_RANGE, message(pet_id="a\nb"), r'pet_id: "a\nb" is longer than 128 or'),
    (RejectReason.OUT_OF_RANGE, message(pet_id="a\x00"), "control characters"),
    (RejectReason.OUT_OF_RANGE, message(breed="a\u2028b"), "breed"),
    (RejectReason.OUT_OF_RANGE, message(pet_id="é" * 129), "longer than 128"),
    (RejectReason.BAD_TIMESTAMP, message(timestamp="2026-03-01T12:00:00"), "with an offset"),
    (RejectReason.BAD_TIMESTAMP, message(timestamp="2026-03-01T12:00:60Z"), "12:00:60Z"),
    (RejectReason.BAD_TIMESTAMP, message(timestamp="2026-02-29T12:00:00Z"), "2026-02-29"),
    (RejectReason.BAD_TIMESTAMP, message(timestamp="10000-01-01T00:00:00Z"), "10000-01-01"),
    (RejectReason.BAD_TIMESTAMP, message(timestamp="1772366400"), '"1772366400"'),
    (RejectReason.BAD_TIMESTAMP, message(timestamp=""), 'timestamp: ""'),
    (RejectReason.TOO_OLD, message(timestamp="2026-02-22T11:59:59.999Z"), "604800 s before"),
    (RejectReason.TOO_NEW, message(timestamp="2026-03-01T12:05:00.001Z"), "300 s after"),
]


@pytest.mark.parametrize(("reason", "value", "detail"), REJECTS)
def test_a_message_that_is_no_reading_has_its_reason_and_says_what(
    reason: RejectReason, value: bytes | None, detail: str
) -> None:
    found, text = refused(value)
    assert (found, detail in text) == (reason.value, True), text


def test_every_reason_has_an_example() -> None:
    assert {reason for reason, _, _ in REJECTS} == set(RejectReason)


def test_of_several_reasons_the_first_of_the_table_is_given() -> None:
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("unknown_schema_version", {"schema_version": 2}),
        ("missing_field", {"pet_id": None}),
        ("wrong_type", {"battery": "full"}),
        ("not_finite", {"weight_kg": math.nan}),
        ("out_of_range", {"heart_rate": 1000}),
        ("bad_timestamp", {"timestamp": "yesterday"}),
    ]
    while wrong:
        changes = {name: value for _, some in wrong for name, value in some.items()}
        assert refused(message(**changes))[0] == wrong.pop(0)[0]


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("name", PHYSICAL_RANGES)
def test_nan_and_infinity_are_not_finite_in_every_number(name: str, value: bytes) -> None:
    sent = message(**{name: 12345}).replace(b"12345", value)
    assert refused(sent) == ("not_finite", f"{name}: {value.decode()}")


@pytest.mark.parametrize(("name", "limits"), PHYSICAL_RANGES.items())
def test_ranges_are_closed(name: str, limits: Any) -> None:
    for number in (limits.low, limits.high):
        assert only(message(**{name: number}))[name] == number
    for number in (math.nextafter(limits.low, -1), math.nextafter(limits.high, 999)):
        assert refused(message(**{name: number}))[0] == "out_of_range"


@pytest.mark.parametrize(
    ("text", "later_ms"),
    [
        ("2026-03-01T12:00:00.250Z", 250),
        ("2026-03-01T12:00:00.2509999Z", 250),
        ("2026-03-01T13:30:00.5+01:30", 500),
        ("2026-03-01T02:00:00-10:00", 0),
        ("2026-03-01 12:00:00.001+00:00", 1),
        ("2026-03-01t12:00:01z", 1000),
        ("2026-03-01T14:00:00+0200", 0),
        ("2026-03-01T14:00+02", 0),
        ("2026-03-02T00:00:00+12:00", 0),
    ],
)
def test_any_offset_becomes_utc(text: str, later_ms: int) -> None:
    assert only(message(timestamp=text))["time_ms"] == NOON_MS + later_ms


def test_age_is_seen_from_the_kafka_timestamp_and_not_judged_without_one() -> None:
    old = message(timestamp="1999-12-31T23:59:59Z")
    assert refused(old)[0] == "too_old"
    assert only(old, kafka_ms=-1)["time_ms"] == 946_684_799_000
    assert only(old, kafka_ms=946_684_800_000)["kafka_ms"] == 946_684_800_000


def test_the_limits_of_age_are_the_callers() -> None:
    arguments = at_offsets(
        [message()] * 4, [NOON_MS - 11, NOON_MS - 10, NOON_MS + 20, NOON_MS + 21]
    )
    decoded = decode_batch(**arguments, limits=AgeLimits(max_age_ms=20, max_ahead_ms=10))
    assert decoded.readings["offset"].to_list() == [1, 2]
    assert [one.reason.value for one in decoded.rejects] == ["too_new", "too_old"]


def test_of_a_field_that_is_there_twice_the_last_counts() -> None:
    twice = message()[:-1] + b', "heart_rate": 70}'
    assert only(twice)["heart_rate"] == 70
    assert only(replaced('"heart_rate"', '"heart_rate": "x", "heart_rate"'))["heart_rate"] == 60.5


def test_a_place_belongs_to_its_message() -> None:
    values = [message(), b"", message(pet_id="p2"), None, message(battery=math.nan)]
    decoded = decode_batch(
        values,
        [b"a", b"b", b"c", b"d", None],
        np.array([0, 1, 0, 1, 2], np.int32),
        np.array([7, 70, 9, 71, 0], np.int64),
        np.full(5, NOON_MS, np.int64),
    )
    places = decoded.readings.select("partition", "offset", "pet_id").rows()
    assert places == [(0, 7, "p1"), (0, 9, "p2")]
    rejects = [(one.partition, one.offset, one.key, one.value) for one in decoded.rejects]
    assert rejects == [(1, 70, b"b", b""), (1, 71, b"d", None), (2, 0, None, values[4])]


def test_depth_ends_at_the_limit_whoever_the_neighbours_are() -> None:
    inside = b'{"a":' * 62 + b"{}" + b"}" * 62  # 63 deep, and the message around it
    fits = message()[:-1] + b', "metadata": ' + inside + b"}"
    deep = message()[:-1] + b', "unknown": {"a":' + inside + b"}}"
    assert only(fits)["metadata"] == inside.decode()
    decoded = decode_batch(**at_offsets([b"x"] * 200 + [deep] + [message()] * 5))
    assert decoded.readings["offset"].to_list() == [201, 202, 203, 204, 205]
    assert "64 deep" in decoded.rejects[200].detail


def test_only_what_is_not_in_order_is_examined_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    examined: list[bytes | None] = []

    def noted(value: bytes | None, kafka_ms: int, limits: AgeLimits) -> dict[str, Any] | Fault:
        examined.append(value)
        return examine(value, kafka_ms, limits)

    monkeypatch.setattr(decode, "examine", noted)
    orderly = [message(unknown=[1]), message(metadata={"a": {}}, breed="é", size=None), message()]
    odd = [message(species="a\n"), message(pet_id=""), message(battery=101), None, b'{"a": "\xff"}']
    decoded = decode_batch(**at_offsets([*orderly, *odd, *orderly]))
    assert examined == odd
    assert len(decoded.readings) == 6


def test_every_odd_value_of_every_field_gives_in_a_batch_what_it_gives_alone() -> None:
    values = [render([*NEEDED, (name, odd)]) for name in NAMES for odd in ODD_VALUES]
    values += [render([NEEDED[0], NEEDED[1], (name, odd)]) for name in NAMES for odd in ODD_VALUES]
    decoded, expected = decode_batch(**at_offsets(values)), carefully(values)
    assert decoded.rejects == expected.rejects
    assert str(decoded.readings.rows()) == str(expected.readings.rows())


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(ANY_MESSAGE, KAFKA_MS), max_size=8))
@example([(b'{"a":' * 70 + b"1" + b"}" * 70, NOON_MS)] + [(b"", NOON_MS)] * 70)
def test_a_batch_gives_what_its_messages_give_one_by_one(
    sent: list[tuple[bytes | None, int]],
) -> None:
    values, kafka_ms = [value for value, _ in sent], [at_ms for _, at_ms in sent]
    decoded = decode_batch(**at_offsets(values, kafka_ms))
    expected = carefully(values, kafka_ms)
    assert decoded.rejects == expected.rejects
    assert str(decoded.readings.rows()) == str(expected.readings.rows())  # tells -0.0 from 0.0
    assert decoded.readings.schema == expected.readings.schema
    offsets = decoded.readings["offset"].to_list() + [one.offset for one in decoded.rejects]
    assert sorted(offsets) == list(range(len(values)))


@settings(deadline=None, max_examples=50)
@given(st.lists(odd_messages() | st.none(), min_size=1, max_size=12), st.integers(1, 5))
def test_how_messages_are_cut_into_chunks_changes_nothing(
    values: list[bytes | None], chunk: int
) -> None:
    whole = decode_batch(**at_offsets(values))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "CHUNK", chunk)
        cut = decode_batch(**at_offsets(values))
    assert cut.readings.equals(whole.readings)
    assert cut.rejects == whole.rejects


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_reading_or_a_reject(value: bytes) -> None:
    decoded = decode_batch(**at_offsets([value]))
    assert len(decoded.readings) + len(decoded.rejects) == 1
