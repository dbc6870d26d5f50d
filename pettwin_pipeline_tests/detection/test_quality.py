import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.detection.quality import (
    LEAST_LABELS,
    WINDOW_MS,
    Quality,
    bootstrap,
    call_windows,
    judged_windows,
    label_windows,
    lead_times,
    measure,
    tally_windows,
    told_of,
    wilson,
)
from pettwin_pipeline.readings.simulator.labels import Label, LabelKind

HOUR = 3_600_000
DAY = 24 * HOUR


def _label(kind: LabelKind, start_ms: int, end_ms: int | None, **more: Any) -> Label:
    pet = more.pop("pet_id", "rex")
    name = more.pop("label_id", f"{pet}/{kind}/{start_ms}")
    return Label(
        label_id=name, pet_id=pet, kind=kind, name=kind, start_ms=start_ms, end_ms=end_ms, **more
    )


def _episode(raised_ms: int, ended_ms: int | None = None, **more: Any) -> list[Episode]:
    """The changes of an episode: its beginning, and its end if it has one."""
    fields: dict[str, Any] = {
        "episode_id": f"e{raised_ms}",
        "pet_id": "rex",
        "species": "dog",
        "direction": "high",
        "severity": "medium",
        "partition": 0,
        "offset": 0,
        "raised_ms": raised_ms,
        "started_ms": raised_ms,
        "ended_ms": None,
        "peak": 1.0,
        "median_bpm": 90.0,
        "level_bpm": 60.0,
        "reason": "for a test",
        "is_still": True,
        "recent_bpm": (),
        "detector_version": "2",
    } | more
    begin = Episode(**fields)
    return [begin] if ended_ms is None else [begin, Episode(**fields | {"ended_ms": ended_ms})]


def _windows(count: int, pet_id: str = "rex") -> pl.DataFrame:
    return pl.DataFrame({"pet_id": pet_id, "window": list(range(count))})


def _joined(
    labels: list[Label], episodes: list[Episode], windows: int = 96
) -> dict[int, tuple[bool, bool]]:
    until_ms = windows * WINDOW_MS
    told = told_of(episodes, until_ms)
    frame = call_windows(label_windows(_windows(windows), labels, until_ms=until_ms), told)
    return {window: (ill, called) for _, window, ill, called in frame.iter_rows()}


def _quality(labels: list[Label], episodes: list[Episode], windows: int = 96) -> Quality:
    until_ms = windows * WINDOW_MS
    told = told_of(episodes, until_ms)
    joined = call_windows(label_windows(_windows(windows), labels, until_ms=until_ms), told)
    *_, whole = measure(joined, labels, told, {"rex": "dog"}, until_ms=until_ms)
    return whole


def test_a_window_counts_with_half_of_the_readings_that_its_pet_usually_has() -> None:
    times = [window * WINDOW_MS + at for window in range(10) for at in range(0, WINDOW_MS, 9000)]
    some = [10 * WINDOW_MS + at for at in range(0, WINDOW_MS // 2, 9000)]
    few = [11 * WINDOW_MS + at for at in range(0, WINDOW_MS // 3, 9000)]
    readings = pl.DataFrame({"pet_id": "rex", "time_ms": times + some + few, "species": "dog"})
    whole = judged_windows([tally_windows(readings)])
    assert whole["window"].to_list() == list(range(11))
    parts = [tally_windows(readings[begin : begin + 37]) for begin in range(0, len(readings), 37)]
    assert judged_windows(parts).equals(whole)


def test_a_pet_is_of_the_species_that_any_of_its_readings_says() -> None:
    readings = pl.DataFrame({"pet_id": "mia", "time_ms": [0, 1, 2], "species": [None, "cat", None]})
    parts = [tally_windows(readings[:2]), tally_windows(readings[2:])]
    assert judged_windows(parts)["species"].to_list() == ["cat"]


def test_the_lead_of_an_illness_is_negative_where_the_owner_saw_it_first() -> None:
    ill = _label("illness", 0, DAY, visible_ms=2 * HOUR)
    assert lead_times([ill], {"rex": [(5 * HOUR, DAY)]}, DAY) == {ill.label_id: -3.0}
    assert lead_times([ill], {"rex": [(DAY + 1, 2 * DAY)]}, 2 * DAY) == {}


def test_a_window_is_ill_when_half_of_it_is_and_healthy_when_all_of_it_is() -> None:
    begin = 3 * WINDOW_MS
    labels = [
        _label("healthy", 0, begin + WINDOW_MS // 2),
        _label("illness", begin + WINDOW_MS // 2, begin + 2 * WINDOW_MS + 60_000),
    ]
    assert _joined(labels, []) == {
        0: (False, False),
        1: (False, False),
        2: (False, False),
        3: (True, False),
        4: (True, False),
    }


def test_what_no_label_covers_is_not_counted_and_neither_is_the_edge_of_an_illness() -> None:
    labels = [
        _label("healthy", WINDOW_MS, 2 * WINDOW_MS),
        _label("illness", 5 * WINDOW_MS + 600_000, 6 * WINDOW_MS),
    ]
    assert _joined(labels, []) == {1: (False, False)}
    assert _joined([], _episode(0)) == {}


def test_a_confounder_is_neither_illness_nor_health() -> None:
    labels = [_label("healthy", 0, DAY), _label("confounder", 0, DAY)]
    assert not any(ill for ill, _ in _joined(labels, []).values())


def test_a_window_is_called_from_when_an_episode_was_raised_to_its_end() -> None:
    episodes = _episode(2 * WINDOW_MS + 1000, 4 * WINDOW_MS - 1000)
    joined = _joined([_label("healthy", 0, DAY)], episodes)
    assert [window for window, (_, called) in joined.items() if called] == [2, 3]


@pytest.mark.parametrize("change", [{"severity": "low"}, {"kind": "sensor"}])
def test_what_an_owner_is_not_told_calls_no_window(change: dict[str, Any]) -> None:
    joined = _joined([_label("healthy", 0, DAY)], _episode(0, DAY, **change))
    assert not any(called for _, called in joined.values())


def test_an_episode_and_an_illness_without_an_end_go_on() -> None:
    joined = _joined([_label("illness", 0, None)], _episode(WINDOW_MS))
    assert len(joined) == 96
    assert sum(called for _, called in joined.values()) == 95


def test_windows_are_told_apart_and_shares_follow_from_them() -> None:
    labels = [_label("healthy", 0, 12 * HOUR), _label("illness", 12 * HOUR, DAY)]
    episodes = [*_episode(HOUR, 2 * HOUR), *_episode(15 * HOUR, DAY)]
    found = _quality(labels, episodes)
    # 48 healthy windows, 4 of them called; 48 ill ones, 36 of them called
    assert (found.tp, found.fp, found.fn, found.tn) == (36, 4, 12, 44)
    assert found.prevalence == 0.5
    assert found.precision.value == pytest.approx(0.9)
    assert found.recall.value == pytest.approx(0.75)
    assert found.accuracy.value == pytest.approx(80 / 96)
    assert found.f1.value == pytest.approx(2 * 36 / (2 * 36 + 16))
    assert found.recall.low < 0.75 < found.recall.high


def test_false_alerts_lead_time_and_coverage_are_those_of_whole_illnesses() -> None:
    visible = {"visible_ms": 20 * HOUR, "half_effect_ms": 14 * HOUR}
    labels = [_label("healthy", 0, 12 * HOUR), _label("illness", 12 * HOUR, DAY, **visible)]
    episodes = [*_episode(HOUR, 2 * HOUR), *_episode(16 * HOUR, DAY)]
    found = _quality(labels, episodes)
    assert found.false_a_day.value == pytest.approx(2.0)
    assert found.lead_h.value == pytest.approx(4.0)
    assert found.coverage.value == pytest.approx(0.8)


def test_without_labels_enough_it_says_so() -> None:
    few = [_label("healthy", 0, DAY)]
    assert not _quality(few, []).is_enough
    many = [_label("healthy", hour * HOUR, (hour + 1) * HOUR) for hour in range(LEAST_LABELS)]
    assert _quality(many, []).is_enough
    assert math.isnan(_quality(few, []).recall.value)


def test_each_species_is_measured_by_itself_and_all_together() -> None:
    windows = pl.concat([_windows(4), _windows(4, "mia"), _windows(4, "bun")])
    labels = [_label("healthy", 0, HOUR, pet_id=pet) for pet in ("rex", "mia", "bun")]
    joined = call_windows(label_windows(windows, labels, until_ms=HOUR), {})
    species = {"rex": "dog", "mia": "cat", "bun": "rabbit"}
    found = measure(joined, labels, {}, species, until_ms=HOUR)
    assert {one.species: one.tn for one in found} == {"cat": 4, "dog": 4, "other": 4, "all": 12}


def test_a_wilson_interval_is_known_from_the_book() -> None:
    # 8 of 10: Wilson at 95 % is 0.490 to 0.943
    found = wilson(8, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.490, 0.943), abs=1e-3)
    assert wilson(0, 5).low == 0.0
    assert wilson(5, 5).high == 1.0
    assert math.isnan(wilson(0, 0).value)


def test_pets_are_drawn_again_not_rows() -> None:
    same = [np.full((50, 1), float(pet)) for pet in (0, 1)]
    found = bootstrap(same, lambda rows: float(rows.mean()))
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert bootstrap(same, lambda rows: float(rows.mean())) == found
