"""Bodies that are posted to the intake: what is taken, what is left out, what is refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol import payloads
from pettwin_pipeline.datadog_protocol.datagram import Event, ServiceCheck
from pettwin_pipeline.datadog_protocol.payloads import (
    NO_NUMBER,
    TOO_NEW,
    TOO_OLD,
    LogEntry,
    Refused,
    SentPoints,
    Taken,
)
from pettwin_pipeline.errors import PayloadError

NOW = 1_700_000_000


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_series_of_v1_is_taken_with_host_and_device_as_tags() -> None:
    sent = {
        "series": [
            {
                "metric": "a.b",
                "points": [[NOW, 1.5], [NOW - 10.5, 2]],
                "type": "count",
                "interval": 10,
                "host": "H1",
                "device": "sda",
                "tags": ["Env:Prod"],
                "what": "ever",
            }
        ]
    }
    assert payloads.parse_series_v1(body(sent), NOW).series == (
        SentPoints(
            "a.b",
            "count",
            ((NOW, 1.5), (NOW - 11, 2.0)),
            ("device:sda", "env:prod", "host:h1"),
            10,
        ),
    )


def test_v1_without_a_type_is_a_gauge() -> None:
    sent = {"series": [{"metric": "a", "points": [[NOW, 1]]}]}
    assert payloads.parse_series_v1(body(sent), NOW) == Taken(
        (SentPoints("a", "gauge", ((NOW, 1.0),)),)
    )


def test_v2_has_types_by_number_and_resources() -> None:
    sent = {
        "series": [
            {
                "metric": "a",
                "type": kind,
                "points": [{"timestamp": NOW, "value": 1}],
                "resources": [{"name": "h1", "type": "host"}],
                "unit": "byte",
            }
            for kind in (0, 1, 2, 3)
        ]
    }
    taken = payloads.parse_series_v2(body(sent), NOW).series
    assert [one.type for one in taken] == ["gauge", "count", "rate", "gauge"]
    assert {one.tags for one in taken} == {("host:h1",)}
    assert {one.unit for one in taken} == {"byte"}


@pytest.mark.parametrize(
    "series",
    [
        {"metric": "a", "type": "gauge", "points": []},
        {"metric": "a", "points": [], "host": "h1"},
        {"metric": "a", "points": [{"timestamp": NOW, "value": 1, "x": 2}]},
        {"metric": "a", "points": [[NOW, 1]]},
        {"metric": "a", "points": [{"timestamp": str(NOW), "value": 1}]},
        {"metric": "a", "type": 4, "points": []},
        {"points": []},
    ],
)
def test_v2_refuses_what_it_does_not_know(series: dict[str, Any]) -> None:
    with pytest.raises(PayloadError) as refused:
        payloads.parse_series_v2(body({"series": [series]}), NOW)
    assert refused.value.status == 400


def test_points_out_of_time_are_left_out_and_told() -> None:
    points = [[NOW - 3601, 1], [NOW - 3600, 2], [NOW + 600, 3], [NOW + 601, 4]]
    taken = payloads.parse_series_v1(body({"series": [{"metric": "a", "points": points}]}), NOW)
    assert [value for one in taken.series for _, value in one.points] == [2.0, 3.0]
    assert taken.refused == (Refused(TOO_OLD, "a"), Refused(TOO_NEW, "a"))


def test_a_metric_without_a_letter_is_left_out_and_told() -> None:
    sent = {"series": [{"metric": "1.5", "points": [[NOW, 1]]}]}
    taken = payloads.parse_series_v1(body(sent), NOW)
    assert (taken.series, taken.refused[0].what) == ((), "1.5")


def test_a_series_all_of_whose_points_are_left_out_is_told_by_itself() -> None:
    sent = {"series": [{"metric": "a", "points": [[NOW - 9999, 1]], "tags": ["x:y"]}]}
    taken = payloads.parse_series_v1(body(sent), NOW)
    assert taken.series == ()
    assert [(one.name, one.points, one.tags) for one in taken.emptied] == [("a", (), ("x:y",))]


def test_a_null_is_no_point_and_a_huge_number_none_either() -> None:
    sent = b'{"series":[{"metric":"a","points":[[%d,null],[1e400,1]]}]}' % NOW
    with pytest.raises(PayloadError):
        payloads.parse_series_v1(sent, NOW)
    sent = b'{"series":[{"metric":"a","points":[[%d,null]]}]}' % NOW
    assert payloads.parse_series_v1(sent, NOW) == Taken(())
    assert NO_NUMBER


def test_each_value_of_a_distribution_is_a_point() -> None:
    sent = {"series": [{"metric": "a", "points": [[NOW, [1, 2.5]]], "host": "h", "tags": ["x"]}]}
    assert payloads.parse_distributions(body(sent), NOW).series == (
        SentPoints("a", "distribution", ((NOW, 1.0), (NOW, 2.5)), ("host:h", "x")),
    )


@pytest.mark.parametrize("as_list", [True, False])
def test_check_runs_come_alone_or_in_a_list(as_list: bool) -> None:
    run = {"check": "db.up", "host_name": "h1", "status": 1, "tags": ["b", "a"], "message": "m"}
    assert payloads.parse_check_runs(body([run] if as_list else run), NOW) == (
        ServiceCheck("db.up", 1, ("a", "b"), NOW, "h1", "m"),
    )


def test_a_check_run_over_ten_minutes_old_is_left_out() -> None:
    runs = [
        {"check": "a", "status": 0, "timestamp": NOW - 601},
        {"check": "b", "status": 0, "timestamp": NOW - 600},
    ]
    assert [one.name for one in payloads.parse_check_runs(body(runs), NOW)] == ["b"]


def test_an_event_is_taken_up_to_eighteen_hours_late() -> None:
    sent = {"title": "t", "text": "x", "tags": ["A"], "date_happened": NOW - 18 * 3600}
    assert payloads.parse_event_v1(body(sent), NOW) == Event(
        "t", "x", ("a",), timestamp_s=NOW - 18 * 3600
    )
    with pytest.raises(PayloadError, match="Event too far in the past") as refused:
        payloads.parse_event_v1(body(sent | {"date_happened": NOW - 18 * 3600 - 1}), NOW)
    assert refused.value.status == 400


def test_a_log_keeps_what_else_was_in_it() -> None:
    sent = [
        {
            "message": "m",
            "ddsource": "s",
            "ddtags": "env:prod,B",
            "hostname": "h",
            "service": "v",
            "status": "warn",
            "user": {"id": 5},
        },
        {"message": {"a": 1}},
    ]
    assert payloads.parse_logs(body(sent)) == (
        LogEntry("m", "s", "v", "h", "warn", ("b", "env:prod"), {"user": {"id": 5}}),
        LogEntry('{"a":1}', None, None, None, None, (), {}),
    )
    assert payloads.parse_logs(body({"message": "alone"}))[0].message == "alone"


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/api/v1/series", (3_200_000, 62_000_000)), ("/api/v2/series", (512_000, 5_000_000))],
)
def test_bodies_have_a_largest_size(path: str, limit: tuple[int, int]) -> None:
    assert payloads.size_limit(path) == limit


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["series", "x"]), inner),
    ).map(body)
    | st.just(b"[" * 100_000)
)
def test_any_body_is_taken_or_refused(sent: bytes) -> None:
    for parse in (
        payloads.parse_series_v1,
        payloads.parse_series_v2,
        payloads.parse_distributions,
        payloads.parse_check_runs,
        payloads.parse_event_v1,
    ):
        with suppress(PayloadError):
            parse(sent, NOW)
    with suppress(PayloadError):
        payloads.parse_logs(sent)
