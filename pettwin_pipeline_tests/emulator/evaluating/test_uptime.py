"""Seconds up from changes of state."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.emulator.evaluating.monitor_states import StatusChange
from pettwin_pipeline.emulator.evaluating.uptime import (
    downs_of,
    joined,
    seconds,
    up_seconds,
    without,
)

spans = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 20)).map(
        lambda told: (float(told[0]), float(told[0] + told[1]))
    ),
    max_size=8,
)


def covered(some: list[tuple[float, float]]) -> set[int]:
    """The whole seconds in spans that begin and end with one."""
    return {second for begins, ends in some for second in range(int(begins), int(ends))}


@given(spans)
def test_spans_that_are_joined_cover_the_same_and_do_not_touch(
    some: list[tuple[float, float]],
) -> None:
    found = joined(some)
    assert covered(found) == covered(some)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))


@given(spans, spans)
def test_what_is_taken_out_is_gone_and_nothing_else(
    some: list[tuple[float, float]], holes: list[tuple[float, float]]
) -> None:
    found = without(some, holes)
    assert covered(found) == covered(some) - covered(holes)
    assert seconds(found) == len(covered(found))


def test_a_group_is_down_in_alert_alone_and_until_now_where_it_stays_so() -> None:
    group = ("host:a",)
    changes = [
        StatusChange(group, at_s, status)
        for at_s, status in (
            (10.0, Status.WARN),
            (20.0, Status.ALERT),
            (30.0, Status.NO_DATA),
            (40.0, Status.ALERT),
        )
    ]
    assert downs_of(changes, 50.0) == {group: (10.0, [(20.0, 30.0), (40.0, 50.0)])}


def test_what_was_before_the_first_state_is_not_known() -> None:
    found = up_seconds([(10.0, [(20.0, 30.0)]), (15.0, [(25.0, 35.0)])], [(0.0, 40.0)])
    assert (found.good, found.total) == (15.0, 30.0)  # 10 to 20 and 35 to 40, of 10 to 40
    assert up_seconds([], [(0.0, 40.0)]).status is None
