import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pettwin_pipeline.detection.baseline import (
    BASELINE_FORMAT,
    STATE,
    Baselines,
    encode_baselines,
    parse_baselines,
)
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline.readings.schema import SIGNALS
from pettwin_pipeline_tests.detection.collars import MINUTE, score, wear


def _with(*pet_ids: str) -> Baselines:
    return Baselines.empty().with_pets(pl.Series(pet_ids, dtype=pl.String))[0]


def test_pets_lie_in_the_order_of_their_names_whoever_came_first() -> None:
    baselines, rows = _with("m").with_pets(pl.Series(["z", "a", "m", "z"]))
    assert baselines.pet_ids.to_list() == ["a", "m", "z"]
    assert rows.tolist() == [2, 0, 1, 2]


def test_new_pets_leave_the_known_ones_as_they_are() -> None:
    kept = score(wear([60.0] * 30, pet_id="m")).baselines
    grown, rows = kept.with_pets(pl.Series(["b", "x"]))
    assert grown.states[1].tobytes() == kept.states[0].tobytes()
    assert rows.tolist() == [0, 2]


def test_the_baselines_of_the_batch_before_are_not_changed() -> None:
    kept = score(wear([60.0] * 30)).baselines
    before = encode_baselines(kept)
    score(wear([90.0] * 30, start_ms=1_800_000_000_000), baselines=kept)
    assert encode_baselines(kept) == before


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), unique=True, max_size=6))
def test_any_names_are_kept_and_come_back(pet_ids: list[str]) -> None:
    baselines = _with(*pet_ids)
    back = parse_baselines(encode_baselines(baselines))
    assert back.pet_ids.to_list() == sorted(pet_ids)
    assert back.states.tobytes() == baselines.states.tobytes()


def test_kept_baselines_can_be_moved_on() -> None:
    kept = parse_baselines(encode_baselines(score(wear([60.0] * 30)).baselines))
    score(wear([60.0] * 3, start_ms=1_800_000_000_000), baselines=kept)


def test_an_unknown_format_is_an_error_that_names_it() -> None:
    content = encode_baselines(_with("a")).replace(b'"format":2', b'"format":9')
    with pytest.raises(UnknownFormatError, match="format 9; this release knows 2"):
        parse_baselines(content)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}\n", b"[1, 2]\n", b"\xff\xfe\n"])
def test_what_is_no_baseline_is_an_error(content: bytes) -> None:
    with pytest.raises(UnknownFormatError, match="no baselines"):
        parse_baselines(content)


@pytest.mark.parametrize("cut", [1, 200])
def test_a_torn_file_is_an_error(cut: int) -> None:
    with pytest.raises(UnknownFormatError, match="2 pets are not whole"):
        parse_baselines(encode_baselines(_with("a", "b"))[:-cut])


def test_a_pet_costs_at_most_300_bytes_a_signal() -> None:
    pets = [f"pet-{number:08d}" for number in range(1000)]
    kept = score(*[wear([60.0, 61.0], pet_id=pet) for pet in pets[:10]]).baselines
    grown, _ = kept.with_pets(pl.Series(pets))
    assert len(encode_baselines(grown)) <= 300 * len(SIGNALS) * 1000


def test_the_record_is_the_same_on_every_machine() -> None:
    for name in STATE.names or ():
        assert STATE[name].base.str[0] in "<|", name
    assert not STATE.isalignedstruct


def test_a_level_begins_where_the_species_usually_is() -> None:
    kept = score(
        wear([80.0, 80.0], pet_id="a", species="cat"),
        wear([80.0, 80.0], pet_id="b", species="dog"),
        wear([80.0, 80.0], pet_id="c", species=None),
    ).baselines
    # 24 slots of the usual rate and one of this pet
    expected = [np.log(usual) * 24 / 25 + np.log(80.0) / 25 for usual in (118.0, 62.0, 100.0)]
    assert kept.states["level"][:, 0] == pytest.approx(expected, abs=1e-6)


def test_nan_never_reaches_a_baseline() -> None:
    bpm = [60.0, None, float("nan"), 400.5, -3.0, None] * (5 * MINUTE)
    states = score(wear(bpm, step_ms=3000)).baselines.states
    for name in ("ring", "level", "peak", "score"):
        assert np.isfinite(states[name]).all()
    assert np.exp(states["level"][0, 0]) == pytest.approx(61, abs=1)


def test_the_header_is_one_line_of_json() -> None:
    head = encode_baselines(_with("line\nbreak", "a")).split(b"\n")[0]
    assert msgspec.json.decode(head) == {"format": BASELINE_FORMAT, "pet_ids": ["a", "line\nbreak"]}
