"""Half an hours, hours and days: what minutes do not show."""

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.baseline import Baselines, StateArray
from pettwin_pipeline.detection.scoring import Scored, score_batch
from pettwin_pipeline_tests.detection.collars import HOUR, begun, ended, stream, told, wear

USUAL = 62.0
DAY = 24 * HOUR


def _pet(
    bpm: list[float], *, spread: float = 0.1, gait: list[float] | None = None, seed: int = 1
) -> pl.DataFrame:
    """Readings every 2 s, five of each rate, with noise; the activity of sleep or of a walk."""
    dice = np.random.default_rng(seed)
    rates = np.repeat(bpm, 5)
    rates = rates * np.exp(spread * dice.standard_normal(len(rates)))
    walks = np.repeat([gait is not None and one > 0 for one in gait or bpm], 5)
    activity = np.where(walks & (gait is not None), 40.0, 1.0) + dice.uniform(0, 0.2, len(rates))
    worn = wear(rates.tolist(), step_ms=2000, activity=activity.tolist())
    if gait is None:
        return worn
    seen = np.repeat(gait, 5) + 0.01 * dice.standard_normal(len(rates))
    values = [float(one) if walk else None for one, walk in zip(seen, walks, strict=True)]
    return worn.with_columns(pl.Series("gait_symmetry", values, pl.Float64))


def _score(*parts: pl.DataFrame) -> Scored:
    return score_batch(stream(*parts), Baselines.empty())


def _state(scored: Scored) -> StateArray:
    state: StateArray = scored.baselines.states[0]
    return state


@pytest.fixture(scope="module")
def mild_illness() -> Scored:
    """A day of health, then a day of a heart that is a third faster, nearly."""
    return _score(_pet([USUAL] * DAY + [USUAL * 1.3] * DAY))


def test_a_mild_illness_is_medium_within_hours_and_stays(mild_illness: Scored) -> None:
    first = next(one for one in told(mild_illness) if one.severity == "medium")
    begin_ms = int(mild_illness.scores["time_ms"][0]) + DAY * 10_000
    assert begin_ms < first.raised_ms < begin_ms + 6 * 3_600_000
    assert "this pet's resting level" in first.reason
    late = mild_illness.scores.filter(pl.col("time_ms") > begin_ms + 6 * 3_600_000)
    assert late["flagged"].mean() > 0.95  # type: ignore[operator]


def test_the_week_does_not_learn_an_illness(mild_illness: Scored) -> None:
    assert np.exp(_state(mild_illness)["week"][0]) == pytest.approx(USUAL, rel=0.02)


def test_what_is_over_is_over_within_the_hour() -> None:
    scored = _score(_pet([USUAL] * DAY + [USUAL * 1.35] * HOUR + [USUAL] * 2 * HOUR))
    end = max(one.raised_ms for one in ended(scored))
    begin_ms = int(scored.scores["time_ms"][0])
    assert end < begin_ms + (DAY + 2 * HOUR) * 10_000


def test_a_faster_heart_that_is_also_more_even_is_raised_where_one_alone_is_not() -> None:
    healthy = [USUAL] * DAY
    rise = [USUAL * 1.17] * 2 * HOUR

    def medium(factor: float, spread: float) -> int:
        before = _pet(healthy, spread=0.15)
        after = _pet([USUAL * factor] * len(rise), spread=spread, seed=2)
        shift = pl.col("time_ms") + DAY * 10_000
        scored = _score(before, after.with_columns(shift))
        return sum(one.severity == "medium" for one in told(scored))

    assert medium(1.17, 0.15) == 0
    assert medium(1.01, 0.11) == 0
    assert medium(1.17, 0.11) > 0


def _walks(symmetry: float, hours: int) -> list[float]:
    """Ten minutes of walking an hour."""
    return ([symmetry] * 60 + [0.0] * (HOUR - 60)) * hours


def test_a_limp_is_raised_while_walking_and_stays_until_an_even_walk() -> None:
    gait = [*_walks(0.96, 12), *_walks(0.90, 4), *_walks(0.96, 4)]
    scored = _score(_pet([USUAL] * len(gait), gait=gait))
    limps = [one for one in begun(scored) if one.signal == "gait_symmetry"]
    (one,) = limps
    begin_ms = int(scored.scores["time_ms"][0])
    assert begin_ms + 12 * 3_600_000 < one.raised_ms < begin_ms + 14 * 3_600_000
    assert (one.direction, one.severity, one.signals) == ("low", "medium", ("gait_symmetry",))
    assert one.reason.startswith("gait symmetry 0.9")
    (end,) = [one for one in ended(scored) if one.signal == "gait_symmetry"]
    assert begin_ms + 16 * 3_600_000 < end.raised_ms < begin_ms + 19 * 3_600_000


def test_a_gait_that_is_uneven_by_nature_is_not_raised() -> None:
    gait = _walks(0.92, 16)
    assert begun(_score(_pet([USUAL] * len(gait), gait=gait))) == []


def test_a_gait_of_a_strap_that_moves_is_not_believed() -> None:
    gait = [*_walks(0.96, 12), *_walks(0.85, 3)]
    worn = _pet([USUAL] * len(gait), gait=gait)
    dice = np.random.default_rng(3)
    loose = pl.Series(dice.uniform(-0.15, 0.15, len(worn)))
    late = pl.col("time_ms") >= worn["time_ms"][12 * HOUR * 5]
    blurred = pl.when(late).then((pl.col("gait_symmetry") + loose).clip(0, 1))
    worn = worn.with_columns(blurred.otherwise(pl.col("gait_symmetry")).alias("gait_symmetry"))
    assert begun(_score(worn)) == []
