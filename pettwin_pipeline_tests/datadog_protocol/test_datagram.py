"""DogStatsD lines: what is stored of them, what is refused, and never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.datagram import (
    Event,
    Reason,
    Reject,
    Sample,
    ServiceCheck,
    SetSample,
    parse_datagram,
    parse_line,
)


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        (b"a:1|g", Sample("a", "gauge", (1.0,))),
        (b"a:-1.5e3|c", Sample("a", "count", (-1500.0,))),
        (b"a:1|h|@0.5", Sample("a", "histogram", (1.0,), rate=0.5)),
        (b"a:320|ms", Sample("a", "timing", (320.0,))),
        (b"a:1:2:3|d|#x:y", Sample("a", "distribution", (1.0, 2.0, 3.0), ("x:y",))),
        (b"a::1::2:|h", Sample("a", "histogram", (1.0, 2.0))),
        (b"a:1|c|#Env:Prod,b,,b,a", Sample("a", "count", (1.0,), ("a", "b", "env:prod"))),
        (b"a:1|c|#", Sample("a", "count", (1.0,))),
        (b"a:1|c|#x|c:83c0a99c|e:it-false,cn-x|card:low", Sample("a", "count", (1.0,), ("x",))),
        (b"a:1|g|T1656581400", Sample("a", "gauge", (1.0,), timestamp_s=1656581400)),
        (b"a:15|c|#x|T1656581400", Sample("a", "count", (15.0,), ("x",), 1.0, 1656581400)),
        (b"a:1|c|future:field|~", Sample("a", "count", (1.0,))),
        (b"a:1|c||", Sample("a", "count", (1.0,))),
        ("größe.日:1|g".encode(), Sample("gr__e._", "gauge", (1.0,))),
        (b"9lives-left:1|g", Sample("lives_left", "gauge", (1.0,))),
        (b"a" * 300 + b":1|g", Sample("a" * 200, "gauge", (1.0,))),
        (b"a:x:y:z|s|#t", SetSample("a", "x:y:z", ("t",))),
        (b"a:\xff|s", SetSample("a", "\ufffd")),
    ],
)
def test_a_line_is_stored_as_datadog_stores_it(line: bytes, sample: object) -> None:
    assert parse_line(line) == sample


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a", Reason.NO_VALUE),
        (b"a|g", Reason.NO_VALUE),
        (b"a:1", Reason.NO_TYPE),
        (b"a:1|", Reason.NO_TYPE),
        (b":1|g", Reason.NO_NAME),
        (b"12.5:1|g", Reason.BAD_NAME),
        (b"a:|g", Reason.NO_VALUE),
        (b"a:::|g", Reason.NO_VALUE),
        (b"a:|s", Reason.NO_VALUE),
        (b"a:1|x", Reason.BAD_TYPE),
        (b"a:1|G", Reason.BAD_TYPE),
        (b"a:one|g", Reason.BAD_VALUE),
        (b"a:1:b|g", Reason.BAD_VALUE),
        (b"a:nan|g", Reason.BAD_VALUE),
        (b"a:inf|g", Reason.BAD_VALUE),
        (b"a:1e999|g", Reason.BAD_VALUE),
        (b"a:1_000|g", Reason.BAD_VALUE),
        (b"a: 1|g", Reason.BAD_VALUE),
        (b"a:1|c|@", Reason.BAD_RATE),
        (b"a:1|c|@x", Reason.BAD_RATE),
        (b"a:1|c|@0", Reason.BAD_RATE),
        (b"a:1|c|@-1", Reason.BAD_RATE),
        (b"a:1|c|@1.01", Reason.BAD_RATE),
        (b"a:1|c|@5e-324", Reason.BAD_RATE),
        (b"a:1|c|T", Reason.BAD_TIMESTAMP),
        (b"a:1|c|T-5", Reason.BAD_TIMESTAMP),
        (b"a:1|c|T0", Reason.BAD_TIMESTAMP),
        (b"a:1|c|T1.5", Reason.BAD_TIMESTAMP),
        (b"a:1|c|T" + b"9" * 5000, Reason.BAD_TIMESTAMP),
        (b"a:1|h|T1656581400", Reason.TIMESTAMP_NOT_TAKEN),
        (b"a:1|d|T1656581400", Reason.TIMESTAMP_NOT_TAKEN),
        (b"a:1|s|T1656581400", Reason.TIMESTAMP_NOT_TAKEN),
        (b"_e{5,4}:title|tex", Reason.BAD_LENGTHS),
        (b"_e{5,4}:title|texts", Reason.BAD_LENGTHS),
        (b"_e{0,4}:|text", Reason.BAD_LENGTHS),
        (b"_e{5}:title|text", Reason.BAD_LENGTHS),
        (b"_e{x,4}:title|text", Reason.BAD_LENGTHS),
        (b"_e{5,4}", Reason.BAD_LENGTHS),
        (b"_e{5,4}:title|text|p:urgent", Reason.BAD_PRIORITY),
        (b"_e{5,4}:title|text|t:fatal", Reason.BAD_ALERT_TYPE),
        (b"_e{5,4}:title|text|d:soon", Reason.BAD_TIMESTAMP),
        (b"_sc", Reason.NO_NAME),
        (b"_sc||0", Reason.NO_NAME),
        (b"_sc|a", Reason.BAD_STATUS),
        (b"_sc|a|4", Reason.BAD_STATUS),
        (b"_sc|a|ok", Reason.BAD_STATUS),
    ],
)
def test_a_bad_line_is_refused_with_its_reason(line: bytes, reason: Reason) -> None:
    assert parse_line(line) == Reject(reason, line[:256])


def test_lengths_of_an_event_are_bytes_and_pipes_are_text() -> None:
    title, text = "é|b".encode(), rb"x|y\nz"
    line = b"_e{%d,%d}:%s|%s|p:low|d:1700000000|h:h1|k:key|s:src|t:error|#B,a|c:id" % (
        len(title),
        len(text),
        title,
        text,
    )
    assert parse_line(line) == Event(
        title="é|b",
        text="x|y\nz",
        tags=("a", "b"),
        timestamp_s=1700000000,
        host="h1",
        priority="low",
        alert_type="error",
        aggregation_key="key",
        source_type_name="src",
    )


def test_an_event_needs_only_title_and_text() -> None:
    assert parse_line(b"_e{5,0}:title|") == Event("title", "")


def test_a_service_check_ends_with_its_message() -> None:
    assert parse_line(b"_sc|db.up|2|d:1700000000|h:h1|#b,a|m:gone|m\\: twice") == ServiceCheck(
        "db.up", 2, ("a", "b"), 1700000000, "h1", "gone|m: twice"
    )
    assert parse_line(b"_sc|db.up|0") == ServiceCheck("db.up", 0)


def test_a_datagram_holds_several_lines() -> None:
    assert parse_datagram(b"a:1|g\r\n\nb:2|c\nc\n") == [
        Sample("a", "gauge", (1.0,)),
        Sample("b", "count", (2.0,)),
        Reject(Reason.NO_VALUE, b"c"),
    ]
    assert parse_datagram(b"") == []
    assert parse_datagram(b"\r\n\n") == []


pieces = st.sampled_from(
    b": | # @ T _e{ _sc| }: , a 1 0.5 g c ms m: d: p: nan 1e400 99999999 \xff \x00".split(b" ")
)


@given(st.binary(max_size=200) | st.lists(pieces | st.just(b"\n"), max_size=30).map(b"".join))
def test_every_line_of_any_bytes_is_stored_or_refused(datagram: bytes) -> None:
    items = parse_datagram(datagram)
    lines = [line.removesuffix(b"\r") for line in datagram.split(b"\n")]
    assert len(items) == len([line for line in lines if line])
    for item in items:
        if isinstance(item, Sample):
            assert item.name.isascii()
            assert item.values
            assert 0 < item.rate <= 1
