from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.batches import (
    BACKOFF_FIRST_S,
    BACKOFF_MOST_S,
    Gap,
    OffsetRange,
    PartitionRange,
    Plan,
    Watermarks,
    backoff_s,
    cut_range,
    encode_parts,
    first_left,
    first_offset,
    halve,
    holds,
    lane_of,
    merge_ranges,
    offsets_in,
    parse_parts,
    plan_range,
    windows_left,
    without,
)
from pettwin_pipeline.errors import TopicReplacedError

OFFSETS = st.integers(0, 10**6)
MOST = st.integers(1, 3_000_000)


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[int, Watermarks], dict[int, int]]:
    """Watermarks of some partitions, and how far each was read."""
    marks, positions = {}, {}
    for partition in draw(st.sets(st.integers(0, 50), min_size=1, max_size=8)):
        low, stable = sorted((draw(OFFSETS), draw(OFFSETS)))
        marks[partition] = Watermarks(low, stable)
        positions[partition] = draw(st.integers(0, stable))
    return marks, positions


@st.composite
def part_lists(draw: st.DrawFn) -> tuple[PartitionRange, ...]:
    """Parts of a range."""
    parts = []
    for partition in sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=6))):
        start = draw(OFFSETS)
        parts.append(PartitionRange(partition, start, start + draw(st.integers(1, 10**6))))
    return tuple(parts)


def plan(marks: dict[int, tuple[int, int]], positions: dict[int, int], most: int = 1000) -> Plan:
    """What lane 0 of topic t does next; `marks` are (low, stable)."""
    known = {p: Watermarks(*mark) for p, mark in marks.items()}
    return plan_range("t", "e", 0, marks=known, positions=positions, most=most)


def planned(
    marks: dict[int, tuple[int, int]], positions: dict[int, int], most: int = 1000
) -> str | None:
    found = plan(marks, positions, most).range
    return None if found is None else found.text


def test_everything_that_is_stable_is_planned() -> None:
    assert planned({0: (0, 10), 3: (5, 7)}, {0: 4, 3: 5}) == "0:4-10,3:5-7"


def test_nothing_new_plans_nothing() -> None:
    assert plan({0: (0, 10), 1: (3, 3)}, {0: 10, 1: 3}) == Plan(None, ())
    assert plan({}, {}) == Plan(None, ())


def test_partitions_without_news_are_left_out() -> None:
    assert planned({0: (0, 10), 1: (0, 5)}, {0: 10, 1: 0}) == "1:0-5"


def test_small_backlogs_go_whole_and_large_ones_share_the_rest() -> None:
    marks = {0: (0, 100), 1: (0, 10), 2: (0, 1000)}
    assert planned(marks, dict.fromkeys(marks, 0), most=90) == "0:0-40,1:0-10,2:0-40"


def test_what_cannot_be_shared_evenly_goes_to_the_largest() -> None:
    marks = {0: (0, 100), 1: (0, 100), 2: (0, 101)}
    assert planned(marks, dict.fromkeys(marks, 0), most=8) == "0:0-2,1:0-3,2:0-3"
    assert planned(marks, dict.fromkeys(marks, 0), most=1) == "2:0-1"


def test_offsets_that_were_dropped_unread_are_a_gap_and_the_plan_begins_after_it() -> None:
    found = plan({0: (7, 10), 1: (0, 5)}, {0: 3, 1: 2})
    assert found.gaps == (Gap(0, 3, 7),)
    assert found.range is not None
    assert found.range.text == "0:7-10,1:2-5"


def test_a_partition_of_which_everything_was_dropped_is_a_gap_without_a_range() -> None:
    assert plan({0: (9, 9)}, {0: 3}) == Plan(None, (Gap(0, 3, 9),))


def test_a_position_behind_the_end_is_another_topic_and_an_error() -> None:
    with pytest.raises(
        TopicReplacedError, match="partition 2 of t ends at 5, but was read up to 6"
    ):
        plan({2: (0, 5)}, {2: 6})


@given(stream=streams(), most=MOST)
def test_a_plan_stays_within_what_is_kept_unread_and_stable(
    stream: tuple[dict[int, Watermarks], dict[int, int]], most: int
) -> None:
    marks, positions = stream
    found = plan_range("t", "e", 1, marks=marks, positions=positions, most=most)
    for part in () if found.range is None else found.range.parts:
        mark = marks[part.partition]
        assert part.start == max(mark.low, positions[part.partition])
        assert part.start < part.end <= mark.stable


@given(stream=streams(), most=MOST)
def test_a_plan_uses_the_cap_wholly_and_never_more(
    stream: tuple[dict[int, Watermarks], dict[int, int]], most: int
) -> None:
    marks, positions = stream
    found = plan_range("t", "e", 1, marks=marks, positions=positions, most=most)
    waiting = sum(mark.stable - max(mark.low, positions[p]) for p, mark in marks.items())
    assert (0 if found.range is None else found.range.offsets) == min(most, waiting)


@given(stream=streams(), most=MOST)
def test_only_the_largest_backlogs_are_cut_and_they_get_the_same_but_for_a_rest(
    stream: tuple[dict[int, Watermarks], dict[int, int]], most: int
) -> None:
    marks, positions = stream
    found = plan_range("t", "e", 1, marks=marks, positions=positions, most=most)
    got = {p.partition: p.end - p.start for p in (found.range.parts if found.range else ())}
    backlog = {p: mark.stable - max(mark.low, positions[p]) for p, mark in marks.items()}
    cut = {p for p, size in backlog.items() if got.get(p, 0) < size}
    for partition in cut:
        assert got.get(partition, 0) >= max(got.values()) - 1


@given(stream=streams(), most=MOST)
def test_gaps_are_exactly_what_was_dropped_before_it_was_read(
    stream: tuple[dict[int, Watermarks], dict[int, int]], most: int
) -> None:
    marks, positions = stream
    found = plan_range("t", "e", 1, marks=marks, positions=positions, most=most)
    assert found.gaps == tuple(
        Gap(p, positions[p], marks[p].low) for p in sorted(marks) if positions[p] < marks[p].low
    )


@given(stream=streams(), most=MOST)
def test_plans_one_after_the_other_read_every_offset_once(
    stream: tuple[dict[int, Watermarks], dict[int, int]], most: int
) -> None:
    marks, positions = stream
    most = max(most, 100_000)  # else it takes long
    read = dict.fromkeys(marks, 0)
    while found := plan_range("t", "e", 1, marks=marks, positions=positions, most=most).range:
        for part in found.parts:
            assert part.start == max(positions[part.partition], marks[part.partition].low)
            read[part.partition] += part.end - part.start
            positions = positions | {part.partition: part.end}
    assert all(positions[p] == mark.stable for p, mark in marks.items() if read[p])


def test_what_is_left_of_a_range_begins_at_the_low_watermark() -> None:
    one = OffsetRange("t", "e", 2, tuple(PartitionRange(p, 5, 9) for p in range(4)))
    lows = {0: 0, 1: 5, 2: 7, 3: 12}
    rest, gaps = cut_range(one, {p: Watermarks(low, 20) for p, low in lows.items()})
    parts = (PartitionRange(0, 5, 9), PartitionRange(1, 5, 9), PartitionRange(2, 7, 9))
    assert rest == OffsetRange("t", "e", 2, parts)
    assert gaps == (Gap(2, 5, 7), Gap(3, 5, 9))


def test_nothing_is_left_of_a_range_that_was_dropped_whole() -> None:
    one = OffsetRange("t", "e", 2, (PartitionRange(0, 5, 9),))
    assert cut_range(one, {0: Watermarks(9, 9)}) == (None, (Gap(0, 5, 9),))


def test_a_run_key_names_topic_epoch_lane_offsets_and_attempt() -> None:
    one = OffsetRange("t", "e", 2, (PartitionRange(0, 1, 5), PartitionRange(3, 0, 9)))
    assert one.run_key(4) == "t/e/2/0:1-5,3:0-9/4"
    assert one.offsets == 13


RANGES = st.builds(
    OffsetRange,
    topic=st.from_regex(r"[a-z.]{1,3}", fullmatch=True),
    epoch=st.from_regex(r"[a-zA-Z0-9_-]{1,3}", fullmatch=True),
    lane=st.integers(0, 63),
    parts=part_lists(),
)


@given(one=RANGES, other=RANGES, attempts=st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_different_ranges_or_attempts_have_different_run_keys(
    one: OffsetRange, other: OffsetRange, attempts: tuple[int, int]
) -> None:
    same = (one, attempts[0]) == (other, attempts[1])
    assert (one.run_key(attempts[0]) == other.run_key(attempts[1])) == same
    assert one.run_key(attempts[0]) == one.run_key(attempts[0])


def test_the_same_maximum_in_two_partitions_does_not_make_two_run_keys_equal() -> None:
    one = OffsetRange("t", "e", 0, (PartitionRange(0, 0, 5),))
    other = OffsetRange("t", "e", 0, (PartitionRange(1, 0, 5),))
    assert one.run_key(1) != other.run_key(1)
    assert one.name != other.name


@given(one=RANGES, other=RANGES)
def test_a_name_is_good_for_files_and_the_same_for_the_same_parts_only(
    one: OffsetRange, other: OffsetRange
) -> None:
    assert set(one.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert (one.name == other.name) == ((one.lane, one.parts) == (other.lane, other.parts))


@given(parts=part_lists())
def test_parts_are_kept_and_read_back(parts: tuple[PartitionRange, ...]) -> None:
    assert parse_parts(encode_parts(parts)) == parts


def test_parts_are_kept_as_short_json() -> None:
    assert encode_parts([PartitionRange(0, 1, 5), PartitionRange(3, 0, 9)]) == "[[0,1,5],[3,0,9]]"


@pytest.mark.parametrize(
    ("partition", "start", "end"), [(-1, 0, 1), (0, -1, 1), (0, 5, 5), (0, 5, 4)]
)
def test_offsets_that_are_no_range_cannot_be_built(partition: int, start: int, end: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        PartitionRange(partition, start, end)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (PartitionRange(1, 0, 1), PartitionRange(0, 0, 1)),
        (PartitionRange(1, 0, 1), PartitionRange(1, 1, 2)),
    ],
    ids=["none", "out of order", "twice"],
)
def test_a_range_needs_its_partitions_once_and_in_order(parts: tuple[PartitionRange, ...]) -> None:
    with pytest.raises(ValueError, match="once, in order"):
        OffsetRange("t", "e", 0, parts)


@given(partition=st.integers(0, 5000), lanes=st.integers(1, 64))
def test_every_partition_is_in_one_lane(partition: int, lanes: int) -> None:
    assert lane_of(partition, lanes) in range(lanes)
    assert lane_of(partition, 1) == 0


def test_a_new_partition_begins_at_the_first_kept_or_at_the_last_stable_offset() -> None:
    assert first_offset(Watermarks(3, 9), "earliest") == 3
    assert first_offset(Watermarks(3, 9), "latest") == 9


def test_the_wait_doubles_from_5_seconds_to_5_minutes() -> None:
    waits = [backoff_s(failures) for failures in range(9)]
    assert waits == [5.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


@given(failures=st.integers(0, 10**6))
def test_the_wait_stays_between_its_limits_however_often_it_failed(failures: int) -> None:
    assert BACKOFF_FIRST_S <= backoff_s(failures) <= BACKOFF_MOST_S


@given(part_lists())
def test_halves_hold_every_offset_once_and_the_first_comes_first(
    parts: tuple[PartitionRange, ...],
) -> None:
    one = OffsetRange("t", "e", 0, parts)
    halves = halve(one)
    if one.offsets == 1:
        assert halves is None
        return
    assert halves is not None
    first, second = halves
    assert first.offsets + second.offsets == one.offsets
    assert abs(first.offsets - second.offsets) <= len(one.parts)
    starts = {part.partition: part for part in first.parts}
    for part in second.parts:
        before = starts.get(part.partition)
        assert before is None or before.end == part.start
    for part in one.parts:
        pieces = [p for half in halves for p in half.parts if p.partition == part.partition]
        assert (pieces[0].start, pieces[-1].end) == (part.start, part.end)


def test_a_range_of_one_offset_in_each_partition_is_halved_by_partition() -> None:
    parts = tuple(PartitionRange(p, 4, 5) for p in range(3))
    halves = halve(OffsetRange("t", "e", 0, parts))
    assert halves is not None
    assert [one.text for one in halves] == ["0:4-5,1:4-5", "2:4-5"]


@given(part_lists())
def test_a_range_holds_its_halves_and_they_do_not_hold_it(
    parts: tuple[PartitionRange, ...],
) -> None:
    one = OffsetRange("t", "e", 0, parts)
    halves = halve(one)
    assert holds(one, one)
    for half in halves or ():
        assert holds(one, half)
        assert not holds(half, one)


SHORT = st.builds(
    lambda partition, start, length: PartitionRange(partition, start, start + length),
    st.integers(0, 2),
    st.integers(0, 40),
    st.integers(1, 10),
)


def places(parts: Iterable[PartitionRange]) -> set[tuple[int, int]]:
    """Every offset by itself."""
    return {(one.partition, offset) for one in parts for offset in range(one.start, one.end)}


@given(st.lists(SHORT, max_size=8))
def test_merged_ranges_hold_the_same_offsets_and_do_not_touch(parts: list[PartitionRange]) -> None:
    merged = merge_ranges(parts)
    assert places(merged) == places(parts)
    for one, after in pairwise(merged):
        assert (one.partition, one.end) < (after.partition, after.start)


@given(st.lists(SHORT, max_size=8), st.integers(0, 60), st.integers(0, 60), st.integers(1, 20))
def test_windows_hold_everything_that_is_kept_and_not_dealt_with(
    parts: list[PartitionRange], low: int, length: int, most: int
) -> None:
    dealt = merge_ranges(parts)
    marks = {1: Watermarks(low, low + length)}
    kept = {(1, offset) for offset in range(low, low + length)}
    windows = windows_left(marks, dealt, most)
    assert all(0 < one.end - one.start <= most for one in windows)
    assert places(windows) <= kept
    left = {
        (1, n)
        for one in windows
        for n in range(one.start, one.end)
        if n not in offsets_in(one, dealt)
    }
    assert left == kept - places(dealt)
    first = first_left(1, low, dealt)
    assert first == min((n for _, n in left), default=first)
    assert (1, first) not in places(dealt)


@given(st.sets(st.integers(5, 14)))
def test_a_window_without_what_is_left_holds_the_rest(left: set[int]) -> None:
    window = PartitionRange(1, 5, 15)
    rest = {(1, offset) for offset in set(range(5, 15)) - left}
    assert places(without(window, sorted(left))) == rest
