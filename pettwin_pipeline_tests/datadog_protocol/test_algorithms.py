"""Anomalies, outliers and forecasts: algorithms of our own behind Datadog's words."""

import numpy as np
import pytest

from pettwin_pipeline.datadog_protocol.evaluation import (
    Asked,
    anomaly_bands,
    forecasts,
    found_call,
    outlying_groups,
)
from pettwin_pipeline.datadog_protocol.parsing import parse_metric
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline_tests.datadog_protocol.memory_store import MemoryStore, gauge


def test_a_spike_leaves_the_band_above_and_a_dip_below() -> None:
    values = [10 + (place % 3) for place in range(120)]
    values[100], values[110] = 60, -40
    (expression,) = parse_metric("anomalies(avg:a{*}, 'basic', 3)")
    call = found_call(expression, "anomalies")
    assert call is not None
    over = Grid(600, 10, 60)
    found, (band,) = anomaly_bands(call, Asked(MemoryStore(gauge("a", values)), over))
    assert np.flatnonzero(band.outside(found.values[0], "both")).tolist() == [40, 50]
    assert np.flatnonzero(band.outside(found.values[0], "above")).tolist() == [40]
    assert np.flatnonzero(band.outside(found.values[0], "below")).tolist() == [50]


def test_a_season_is_expected_by_agile_and_robust() -> None:
    hour = [float(place % 60) for place in range(60 * 5)]
    hour[-30] = 500
    over = Grid(60 * 60 * 4, 60, 60)
    for algorithm in ("agile", "robust"):
        query = f"anomalies(avg:a{{*}}, '{algorithm}', 2, seasonality='hourly')"
        call = found_call(parse_metric(query)[0], "anomalies")
        assert call is not None
        store = MemoryStore(gauge("a", hour, step_s=60))
        found, (band,) = anomaly_bands(call, Asked(store, over))
        assert np.flatnonzero(band.outside(found.values[0], "both")).tolist() == [30]


@pytest.mark.parametrize("algorithm", ["dbscan", "MAD", "scaledDBSCAN", "scaledMAD"])
def test_the_one_that_is_unlike_the_others_is_an_outlier(algorithm: str) -> None:
    dice = np.random.default_rng(2)
    points = []
    for host in "abcdef":
        level = 50 if host == "e" else 10
        values = (level + dice.normal(0, 0.5, 30)).tolist()
        points += gauge("x", values, f"host:{host}")
    call = found_call(
        parse_metric(f"outliers(avg:x{{*}} by {{host}}, '{algorithm}', 5)")[0], "outliers"
    )
    assert call is not None
    found, odd = outlying_groups(call, Asked(MemoryStore(points), Grid(0, 10, 30)))
    assert [group[0] for group, is_odd in zip(found.groups, odd, strict=True) if is_odd] == [
        "host:e"
    ]


def test_groups_without_values_are_no_outliers() -> None:
    points = [point for host in "abc" for point in gauge("x", [1], f"host:{host}")]
    call = found_call(parse_metric("outliers(avg:x{*} by {host}, 'mad', 2)")[0], "outliers")
    assert call is not None
    for over in (Grid(0, 10, 9), Grid(500, 10, 9)):
        assert outlying_groups(call, Asked(MemoryStore(points), over))[1] == [False] * 3


def test_two_groups_have_no_outlier() -> None:
    points = [*gauge("x", [1] * 9, "host:a"), *gauge("x", [99] * 9, "host:b")]
    call = found_call(parse_metric("outliers(avg:x{*} by {host}, 'dbscan', 2)")[0], "outliers")
    assert call is not None
    assert outlying_groups(call, Asked(MemoryStore(points), Grid(0, 10, 9)))[1] == [False, False]


def test_a_forecast_goes_on_where_the_line_leads() -> None:
    call = found_call(parse_metric("forecast(avg:a{*}, 'linear', 1)")[0], "forecast")
    assert call is not None
    store = MemoryStore(gauge("a", [float(place) for place in range(20)]))
    _, ((middle, lower, upper),) = forecasts(call, Asked(store, Grid(0, 10, 20)), 3)
    assert middle.tolist() == pytest.approx([20, 21, 22])
    assert (lower <= middle).all()
    assert (middle <= upper).all()


def test_a_seasonal_forecast_repeats_the_season() -> None:
    query = "forecast(avg:a{*}, 'seasonal', 1, seasonality='hourly')"
    call = found_call(parse_metric(query)[0], "forecast")
    assert call is not None
    store = MemoryStore(gauge("a", [float(place % 6) for place in range(60)], step_s=600))
    _, ((middle, _lower, _upper),) = forecasts(call, Asked(store, Grid(0, 600, 60)), 6)
    assert middle.tolist() == pytest.approx([0, 1, 2, 3, 4, 5], abs=0.6)
