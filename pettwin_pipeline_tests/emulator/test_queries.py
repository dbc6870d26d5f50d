"""Queries over HTTP: the forms of the answers, and meanings worked out by hand."""

from typing import Any
from urllib.parse import urlencode

import pytest

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.statsd import START_S, asked, row, stand


@pytest.fixture
def standing(local: LocalDatadog) -> LocalDatadog:
    """One whose clock stands."""
    stand(local, START_S + 3600)
    return local


def keep(
    local: LocalDatadog,
    values: dict[int, float],
    *tags: str,
    name: str = "a",
    kind: Any = "gauge",
    interval_s: int | None = None,
) -> None:
    """Points of one series by seconds after the start."""
    points = [
        StoredPoint(name, tuple(sorted(tags)), kind, START_S + at_s, value, interval_s)
        for at_s, value in values.items()
    ]
    assert local.state.points.add(points) == []


def counted(local: LocalDatadog, values: dict[int, float], *tags: str, name: str = "a") -> None:
    """What DogStatsD counted in each ten seconds."""
    rates = {at_s: value / 10 for at_s, value in values.items()}
    keep(local, rates, *tags, name=name, kind="rate", interval_s=10)


def query(local: LocalDatadog, text: str, from_s: int, to_s: int) -> Any:
    path = urlencode({"from": from_s, "to": to_s, "query": text})
    return ask(local, "GET", f"/api/v1/query?{path}").json


def test_a_series_is_told_with_every_field(standing: LocalDatadog) -> None:
    keep(standing, {0: 1, 20: 3}, "host:h1", "env:prod")
    told = query(standing, "avg:a{env:prod} by {host}", START_S, START_S + 3600)
    (series,) = told.pop("series")
    assert told == {
        "status": "ok",
        "res_type": "time_series",
        "resp_version": 1,
        "query": "avg:a{env:prod} by {host}",
        "from_date": START_S * 1000,
        "to_date": (START_S + 3600) * 1000,
        "values": [],
        "times": [],
        "message": "",
        "group_by": ["host"],
    }
    assert series == {
        "metric": "a",
        "display_name": "a",
        "expression": "avg:a{host:h1,env:prod}",
        "scope": "host:h1,env:prod",
        "tag_set": ["host:h1"],
        "pointlist": [[START_S * 1000, 1], [(START_S + 20) * 1000, 3]],
        "interval": 20,
        "start": START_S * 1000,
        "end": (START_S + 40) * 1000 - 1,
        "length": 2,
        "aggr": "avg",
        "unit": None,
        "query_index": 0,
        "attributes": {},
    }


@pytest.mark.parametrize(
    ("span_s", "interval_s"),
    [
        (1200, 5),
        (3600, 20),
        (4 * 3600, 60),
        (86_400, 300),
        (2 * 86_400, 600),
        (7 * 86_400, 3600),
        (30 * 86_400, 14_400),
    ],
)
def test_the_default_length_of_a_bucket_grows_with_the_window(
    standing: LocalDatadog, span_s: int, interval_s: int
) -> None:
    keep(standing, dict.fromkeys(range(0, 3600, 10), 1.0))
    begins = START_S + 3600 - span_s
    (series,) = query(standing, "avg:a{*}", begins, START_S + 3600)["series"]
    assert series["interval"] == interval_s
    assert all(at % (interval_s * 1000) == 0 for at, _ in series["pointlist"])


def test_a_day_has_288_points_and_the_first_is_not_before_the_window(
    standing: LocalDatadog,
) -> None:
    keep(standing, dict.fromkeys(range(-86_400, 3600, 10), 1.0))
    (series,) = query(standing, "avg:a{*}", START_S - 86_400, START_S)["series"]
    assert series["length"] == 288
    late = query(standing, "avg:a{*}", START_S - 86_300, START_S)["series"][0]
    assert late["pointlist"][0][0] == (START_S - 86_100) * 1000


def test_several_expressions_are_told_by_their_index(standing: LocalDatadog) -> None:
    keep(standing, {0: 4})
    told = query(standing, "avg:a{*}, avg:a{*} * 2 + 1", START_S, START_S + 20)["series"]
    assert [(one["query_index"], one["pointlist"][0][1]) for one in told] == [(0, 4), (1, 9)]
    assert told[1]["expression"] == "avg:a{*} * 2 + 1"


@pytest.mark.parametrize(
    ("text", "column"), [("avg:a{*", 8), ("avg:a{x:y,)}", 11), ("avg a{*}", 5)]
)
def test_an_error_names_the_place(standing: LocalDatadog, text: str, column: int) -> None:
    path = urlencode({"from": START_S, "to": START_S + 20, "query": text})
    answer = ask(standing, "GET", f"/api/v1/query?{path}")
    assert answer.status == 400
    (error,) = answer.errors
    assert error.startswith(f"Error parsing query: \n unable to parse {text}: ")
    assert error.endswith(f"(line 1, column {column}).")


def test_gauges_of_several_sources_are_interpolated_for_300_s(standing: LocalDatadog) -> None:
    keep(standing, {0: 10, 600: 70, 1200: 0}, "h:1")
    keep(standing, dict.fromkeys(range(0, 1500, 60), 0.0), "h:2")
    found = row(standing, "sum:a{*}.rollup(avg, 60)", START_S, START_S + 1500)
    # of h:1 between 10 and 70 a line for five minutes, then nothing until it is there again
    assert found[60] == 16
    assert found[300] == 40
    assert found[360] == 0
    assert found[600] == 70


def test_counts_are_not_interpolated(standing: LocalDatadog) -> None:
    counted(standing, {0: 100, 120: 100}, "h:1")
    counted(standing, {0: 1, 60: 1, 120: 1}, "h:2")
    found = row(standing, "sum:a{*}.as_count().rollup(sum, 60)", START_S, START_S + 180)
    assert found == {0: 101, 60: 1, 120: 101}


def test_as_count_sums_and_as_rate_divides_by_the_bucket(standing: LocalDatadog) -> None:
    counted(standing, {0: 15, 10: 5, 20: 40})
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 3600) == {0: 20, 20: 40}
    assert row(standing, "sum:a{*}.as_rate()", START_S, START_S + 3600) == {0: 1, 20: 2}


def test_neither_as_count_nor_as_rate_touches_gauges(standing: LocalDatadog) -> None:
    keep(standing, {0: 4, 10: 8})
    for modifier in ("as_count", "as_rate"):
        assert row(standing, f"avg:a{{*}}.{modifier}()", START_S, START_S + 3600) == {0: 6}


def test_default_zero_comes_after_aggregation(standing: LocalDatadog) -> None:
    counted(standing, {0: 10})
    count = "default_zero(sum:a{*}.as_count().rollup(sum, 60))"
    assert row(standing, count, START_S, START_S + 180) == {0: 10, 60: 0, 120: 0}
    keep(standing, {0: 6}, name="g")
    # the gap of a gauge is held for five minutes, then zero
    gauge = row(standing, "default_zero(avg:g{*}.rollup(avg, 60))", START_S, START_S + 480)
    assert gauge == {**dict.fromkeys(range(0, 301, 60), 6), 360: 0, 420: 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("avg:a{*}.rollup(sum, 60)", {0: 6, 60: 9}),
        ("avg:a{*}.rollup(max, 60)", {0: 3, 60: 5}),
        ("avg:a{*}.rollup(min, 60)", {0: 1, 60: 4}),
        ("avg:a{*}.rollup(count, 60)", {0: 3, 60: 2}),
        ("avg:a{*}.rollup(last, 60)", {0: 3, 60: 5}),
        ("avg:a{*}.rollup(60)", {0: 2, 60: 4.5}),
        ("cumsum(avg:a{*}.rollup(sum, 60))", {0: 6, 60: 15}),
        ("diff(avg:a{*}.rollup(sum, 60))", {60: 3}),
        ("per_minute(avg:a{*}.rollup(sum, 60))", {60: 3}),
        ("avg:a{*}.rollup(sum, 60) / 3", {0: 2, 60: 3}),
        ("clamp_max(avg:a{*}.rollup(sum, 60), 7)", {0: 6, 60: 7}),
        ("timeshift(avg:a{*}.rollup(sum, 60), -60)", {60: 6}),
    ],
)
def test_roll_ups_and_functions(
    standing: LocalDatadog, text: str, expected: dict[int, float]
) -> None:
    keep(standing, {0: 1, 20: 2, 40: 3, 60: 4, 100: 5})
    assert row(standing, text, START_S, START_S + 120) == expected


def test_groups_scopes_and_arithmetic_between_groups(standing: LocalDatadog) -> None:
    for host, errors, hits in (("h1", 1, 10), ("h2", 3, 10)):
        counted(standing, {0: errors}, f"host:{host}", name="errors")
        counted(standing, {0: hits}, f"host:{host}", name="hits")
    share = "sum:errors{*} by {host}.as_count() / sum:hits{*} by {host}.as_count() * 100"
    assert asked(standing, share, START_S, START_S + 10) == {
        "host:h1": {0: 10},
        "host:h2": {0: 30},
    }
    whole = "sum:errors{!host:h1}.as_count() + sum:hits{host IN (h1, h2)}.as_count()"
    assert row(standing, whole, START_S, START_S + 10) == {0: 23}


def test_what_was_packed_is_answered_as_what_was_not(standing: LocalDatadog) -> None:
    for host in ("h1", "h2"):
        keep(standing, {at: float(at % 70) for at in range(-7200, 3600, 10)}, f"host:{host}")
    windows = [
        ("avg:a{*} by {host}", START_S - 86_400, START_S + 3600),
        ("max:a{host:h1}", START_S - 7000, START_S + 100),
        ("sum:a{*}.rollup(sum, 600)", START_S - 7200, START_S + 3600),
    ]
    before = [asked(standing, *one) for one in windows]
    standing.state.points.pack_all()
    assert [asked(standing, *one) for one in windows] == before


def formulas(local: LocalDatadog, kind: str, attributes: dict[str, Any]) -> Any:
    window = {"from": START_S * 1000, "to": (START_S + 120) * 1000}
    body = {"data": {"type": f"{kind}_request", "attributes": {**window, **attributes}}}
    return ask(local, "POST", f"/api/v2/query/{kind}", body)


QUERIES = [
    {"data_source": "metrics", "name": "e", "query": "sum:errors{*} by {host}.as_count()"},
    {"data_source": "metrics", "name": "h", "query": "sum:hits{*} by {host}.as_count()"},
]


def hits(local: LocalDatadog) -> None:
    for host, errors in (("h1", 1), ("h2", 3)):
        counted(local, {0: errors}, f"host:{host}", name="errors")
        counted(local, {0: 10, 60: 10}, f"host:{host}", name="hits")


def test_a_formula_over_time(standing: LocalDatadog) -> None:
    hits(standing)
    asked_for = {"formulas": [{"formula": "e / h * 100"}], "queries": QUERIES, "interval": 60_000}
    told = formulas(standing, "timeseries", asked_for).json["data"]["attributes"]
    assert told["times"] == [START_S * 1000, (START_S + 60) * 1000]
    assert [one["group_tags"] for one in told["series"]] == [["host:h1"], ["host:h2"]]
    assert told["values"] == [[10, 0], [30, 0]]


def test_gaps_are_null(standing: LocalDatadog) -> None:
    keep(standing, {60: 5})
    queries = [{"data_source": "metrics", "name": "q", "query": "avg:a{*}.rollup(avg, 60)"}]
    told = formulas(standing, "timeseries", {"queries": queries}).json["data"]["attributes"]
    assert told["values"] == [[None, 5]]


def test_a_limit_keeps_the_groups_with_the_highest_mean(standing: LocalDatadog) -> None:
    hits(standing)
    formula = {"formula": "e", "limit": {"count": 1, "order": "desc"}}
    asked_for = {"formulas": [formula], "queries": QUERIES}
    told = formulas(standing, "timeseries", asked_for).json["data"]["attributes"]
    assert [one["group_tags"] for one in told["series"]] == [["host:h2"]]


def test_a_scalar_reduces_each_query_before_the_formula(standing: LocalDatadog) -> None:
    hits(standing)
    queries = [{**one, "aggregator": "sum"} for one in QUERIES]
    asked_for = {"formulas": [{"formula": "e / h * 100"}], "queries": queries}
    columns = formulas(standing, "scalar", asked_for).json["data"]["attributes"]["columns"]
    assert columns == [
        {"name": "host", "type": "group", "values": [["h1"], ["h2"]]},
        {"name": "e / h * 100", "type": "number", "values": [5, 15], "meta": {"unit": None}},
    ]


@pytest.mark.parametrize(
    ("aggregator", "value"),
    [("avg", 3), ("min", 1), ("max", 5), ("sum", 9), ("last", 3), ("mean", 3)],
)
def test_aggregators_of_a_scalar(standing: LocalDatadog, aggregator: str, value: float) -> None:
    keep(standing, {0: 1, 40: 5, 80: 3})
    queries = [
        {"data_source": "metrics", "name": "q", "query": "avg:a{*}", "aggregator": aggregator}
    ]
    columns = formulas(standing, "scalar", {"queries": queries}).json["data"]["attributes"]
    assert columns["columns"][0]["values"] == [value]


def test_a_formula_that_names_no_query_is_refused(standing: LocalDatadog) -> None:
    answer = formulas(
        standing, "timeseries", {"formulas": [{"formula": "e / x"}], "queries": QUERIES}
    )
    assert (answer.status, answer.errors) == (400, ["Invalid formula: there is no query x"])


def test_logs_and_events_are_queries_of_formulas(standing: LocalDatadog) -> None:
    stand(standing, START_S + 30)
    logs = [{"message": f"m{n}", "status": "error", "service": f"s{n % 2}"} for n in range(3)]
    assert ask(standing, "POST", "/api/v2/logs", logs).status == 202
    event = {"title": "t", "text": "x", "date_happened": START_S + 30}
    assert ask(standing, "POST", "/api/v1/events", event).status == 202
    queries = [
        {
            "data_source": "logs",
            "name": "l",
            "compute": {"aggregation": "count"},
            "search": {"query": "status:error"},
            "group_by": [{"facet": "service"}],
        },
        {"data_source": "events", "name": "v", "compute": {"aggregation": "count"}},
    ]
    asked_for = {"formulas": [{"formula": "l + v"}], "queries": queries, "interval": 60_000}
    told = formulas(standing, "timeseries", asked_for).json["data"]["attributes"]
    assert [one["group_tags"] for one in told["series"]] == [["service:s0"], ["service:s1"]]
    assert told["values"] == [[3, None], [2, None]]
    columns = formulas(standing, "scalar", asked_for).json["data"]["attributes"]["columns"]
    assert columns[1]["values"] == [3, 2]


def test_what_is_asked_of_a_metric_is_told_as_active(standing: LocalDatadog) -> None:
    keep(standing, {0: 1}, "host:h1", "env:prod", "team:a")
    asked(standing, "max:a{env:prod AND NOT team IN (b)} by {host}.rollup(sum, 60)")
    told = ask(standing, "GET", "/api/v2/metrics/a/active-configurations").json["data"]
    assert told["attributes"] == {
        "active_tags": ["env", "host", "team"],
        "active_aggregations": [{"space": "max", "time": "sum"}],
    }


def test_metrics_are_listed_by_time_host_and_tag_and_searched(standing: LocalDatadog) -> None:
    keep(standing, {0: 1}, "host:h1", "env:prod", name="one.a")
    keep(standing, {3000: 1}, "host:h2", "env:dev", name="one.b")

    def listed(**given: object) -> list[str]:
        path = urlencode({"from": START_S, **given})
        found: list[str] = ask(standing, "GET", f"/api/v1/metrics?{path}").json["metrics"]
        return found

    assert listed() == ["one.a", "one.b"]
    assert listed(**{"from": START_S + 1000}) == ["one.b"]
    assert listed(host="h1") == ["one.a"]
    assert listed(tag_filter="env:dev") == ["one.b"]
    results = ask(standing, "GET", "/api/v1/search?q=metrics:one.").json["results"]
    assert results == {"metrics": ["one.a", "one.b"]}
    assert ask(standing, "GET", "/api/v1/search?q=h1").json["results"]["hosts"] == ["h1"]
    volumes = ask(standing, "GET", "/api/v2/metrics/one.a/volumes").json["data"]["attributes"]
    assert volumes == {"distinct_volume": 1}


def test_a_query_of_too_many_values_is_refused_before_memory_is_full(
    standing: LocalDatadog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pettwin_pipeline.emulator.querying.MOST_VALUES", 3 * 288)
    for number in range(4):
        keep(standing, {0: 1}, f"n:{number}")
    path = urlencode({"from": START_S - 86_400, "to": START_S, "query": "avg:a{*}"})
    answer = ask(standing, "GET", f"/api/v1/query?{path}")
    assert answer.status == 400
    assert answer.errors[0].startswith("Query is too large: 4 series of a over 288 buckets")
    assert asked(standing, "avg:a{!n:3}", START_S - 86_400 + 300, START_S + 300) == {"!n:3": {0: 1}}
