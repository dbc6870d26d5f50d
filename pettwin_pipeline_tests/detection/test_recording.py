"""What a user's file comes to, row by row."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.recording import (
    SCORE_COLUMNS,
    Backtested,
    EpisodeRow,
    backtest_series,
    backtest_vitals,
)
from pettwin_pipeline.readings.timestamps import render_timestamp
from pettwin_pipeline_tests.detection.collars import HOUR, START_MS


def _rows(pet_id: str, signals: dict[str, Any], start_ms: int = START_MS) -> pl.DataFrame:
    """A row every 10 s, as `readings.columns` gives them."""
    count = len(next(iter(signals.values())))
    times = [start_ms + 10_000 * number for number in range(count)]
    return pl.DataFrame(
        {
            "pet_id": [pet_id] * count,
            "timestamp": [render_timestamp(time_ms) for time_ms in times],
            "time_ms": times,
            "problem": pl.Series([None] * count, dtype=pl.String),
            **signals,
        }
    )


def _heart(ill: float, seed: int = 3) -> list[float]:
    """Two hours of health, half an hour of illness, an hour of health."""
    dice = np.random.default_rng(seed)
    bpm = np.r_[np.full(2 * HOUR, 62.0), np.full(HOUR // 2, 62.0 * ill), np.full(HOUR, 62.0)]
    rates: list[float] = (bpm * np.exp(0.08 * dice.standard_normal(len(bpm)))).round(1).tolist()
    return rates


def _vitals(rows: pl.DataFrame) -> Backtested:
    result = Backtested()
    list(backtest_vitals(rows, result))
    return result


def _series(rows: pl.DataFrame) -> Backtested:
    result = Backtested()
    list(backtest_series(rows, result))
    return result


def _but_for_the_end(one: EpisodeRow) -> tuple[object, ...]:
    fields = (one.pet_id, one.kind, one.raised_ms, one.started_ms, one.severity, one.signals)
    return (*fields, one.reason)


@pytest.mark.parametrize("ill", [1.3, 1.5, 1.9, 0.6])
def test_what_follows_a_reading_changes_nothing_of_what_was_told_at_it_but_the_end(
    ill: float,
) -> None:
    rows = pl.concat(
        [_rows("a", {"heart_rate": _heart(ill)}), _rows("b", {"heart_rate": _heart(1)})]
    )
    rows = rows.sort("time_ms", maintain_order=True)
    whole = _vitals(rows)
    assert any(one.kind == "health" for one in whole.episodes)
    for number, one in enumerate(whole.episodes):
        known = rows.filter(pl.col("time_ms") <= one.raised_ms)
        cut = _vitals(known)
        assert _but_for_the_end(cut.episodes[number]) == _but_for_the_end(one)
        assert cut.scores.equals(whole.scores.head(len(known)))


def test_an_illness_is_raised_while_it_lasts_and_the_rows_of_that_time_say_so() -> None:
    result = _vitals(_rows("a", {"heart_rate": _heart(1.5)}))
    begin_ms, end_ms = START_MS + 7_200_000, START_MS + 9_000_000
    first = result.episodes[0]
    assert (first.kind, first.signals) == ("health", ("heart_rate",))
    assert begin_ms < first.raised_ms < begin_ms + 180_000
    assert begin_ms - 60_000 <= first.started_ms <= first.raised_ms
    assert first.ended_ms is not None
    assert abs(first.ended_ms - end_ms) < 240_000
    during = result.scores[2 * HOUR + 20 : 2 * HOUR + HOUR // 2]
    assert during["flagged"].all()
    assert during["reason"].str.contains("above this pet's").all()
    assert (during["severity"] != "").all()
    assert (during["score"] >= 0.5).all()
    healthy = result.scores[: 2 * HOUR]
    assert not healthy["flagged"].any()
    assert set(healthy["severity"]) | set(healthy["reason"]) == {""}


def test_rows_come_back_in_the_order_of_the_file_whatever_it_is() -> None:
    one = _rows("a", {"heart_rate": _heart(1.5)})
    other = _rows("b", {"heart_rate": _heart(0.6)})
    in_order = pl.concat([one, other]).sort("time_ms", maintain_order=True)
    expected = _vitals(in_order)
    for rows in (pl.concat([one, other]), in_order.sort("time_ms", descending=True)):
        result = _vitals(rows)
        assert result.scores.columns == list(SCORE_COLUMNS)
        keys = ["pet_id", "timestamp"]
        assert result.scores.select(keys).equals(rows.select(keys))
        assert result.scores.sort(keys).equals(expected.scores.sort(keys))
        assert result.episodes == expected.episodes
    assert _vitals(pl.concat([one, other])).in_order
    assert not _vitals(one.reverse()).in_order


def test_rows_that_are_no_readings_are_not_scored_and_say_why() -> None:
    rows = _rows("a", {"heart_rate": [62.0, 63.0, 64.0]}).with_columns(
        pl.Series("problem", [None, "no pet_id", None]),
        pl.Series("time_ms", [START_MS, None, START_MS + 20_000]),
    )
    scores = _vitals(rows).scores
    assert scores["reason"].to_list() == ["", "not a reading: no pet_id", ""]
    assert scores["flagged"].to_list() == [False] * 3
    assert scores["score"].to_list() == [0.0] * 3


def test_a_repeated_reading_is_counted_and_has_the_score_of_its_moment() -> None:
    rows = _rows("a", {"heart_rate": [62.0] * 30})
    result = _vitals(pl.concat([rows, rows]))
    assert (len(result.scores), result.repeated) == (60, 30)


def test_signals_that_no_row_has_are_not_scored_and_not_missed() -> None:
    result = _vitals(_rows("a", {"gait_symmetry": [0.96] * 200}))
    assert not result.scores["flagged"].any()
    assert result.episodes == []


def test_each_pet_has_a_series_of_its_own_and_flags_are_episodes() -> None:
    dice = np.random.default_rng(4)
    calm, odd = dice.normal(10, 1, 1000), dice.normal(500, 1, 1000)
    odd[700] = 600.0
    rows = pl.concat([_rows("calm", {"value": calm}), _rows("odd", {"value": odd})])
    result = _series(rows.sort("time_ms", maintain_order=True))
    flagged = result.scores.with_columns(rows.sort("time_ms", maintain_order=True)["value"])
    (row,) = flagged.filter(pl.col("value") == 600.0).rows(named=True)
    assert (row["pet_id"], row["flagged"], row["severity"]) == ("odd", True, "medium")
    assert row["reason"].startswith("600 is far above the mean of 500")
    raised = [one for one in result.episodes if one.raised_ms == START_MS + 7_000_000]
    assert [(one.pet_id, one.signals) for one in raised] == [("odd", ("value",))]
    assert len(result.episodes) == int(result.scores["flagged"].sum())


def test_a_value_that_is_missing_scores_nothing() -> None:
    values = [None, *np.random.default_rng(4).normal(0, 1, 99)]
    scores = _series(_rows("a", {"value": values})).scores
    assert scores["score"][0] == 0.0
    assert len(scores) == 100
