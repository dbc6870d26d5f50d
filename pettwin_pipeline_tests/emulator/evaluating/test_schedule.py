"""Which minutes are due."""

from pettwin_pipeline.emulator.clock import Clock
from pettwin_pipeline.emulator.evaluating.schedule import Schedule

HOUR_S = 1_900_000_800


def started(at_s: float = HOUR_S) -> tuple[Clock, Schedule]:
    clock = Clock()
    clock.set(at_s, stand=True)
    schedule = Schedule(clock)
    schedule.start()
    return clock, schedule


def due(schedule: Schedule) -> list[int]:
    rounds = schedule.next(0)
    if rounds is None:
        return []
    for minute_s in rounds.minutes:
        schedule.evaluated(minute_s)
    schedule.finish(rounds)
    return [(minute_s - HOUR_S) // 60 for minute_s in rounds.minutes]


def test_every_full_minute_is_due_once() -> None:
    clock, schedule = started(HOUR_S + 5)
    found = []
    for _ in range(10):
        clock.advance(20)
        found.append(due(schedule))
    assert found == [[], [], [1], [], [], [2], [], [], [3], []]


def test_a_few_minutes_that_were_missed_are_made_up_for_and_a_long_sleep_is_not() -> None:
    clock, schedule = started()
    clock.advance(5 * 60)
    assert due(schedule) == [1, 2, 3, 4, 5]
    clock.advance(6 * 60)
    assert due(schedule) == [11]


def test_a_clock_that_hangs_back_a_little_waits_and_one_that_went_back_far_goes_on() -> None:
    clock, schedule = started()
    clock.advance(-30)
    assert due(schedule) == []
    clock.advance(60)
    assert due(schedule) == []
    clock.advance(-3_600)
    rounds = schedule.next(0)
    assert rounds is not None
    assert (rounds.rewound_to_s, list(rounds.minutes)) == (HOUR_S + 30 - 3_600, [])
    schedule.finish(rounds)
    clock.advance(60)
    assert due(schedule) == [-59]


def test_moves_are_done_one_after_another_and_each_is_told_of_its_end() -> None:
    clock, schedule = started()
    told = []
    for seconds in (120, 60, 30):
        with schedule.moving(every=True) as done:
            clock.advance(seconds)
        told.append(done)
    assert [due(schedule), due(schedule), due(schedule)] == [[1, 2], [3], []]
    assert [done.result(0) for done in told] == [HOUR_S + 120, HOUR_S + 180, HOUR_S + 180]


def test_who_waits_when_it_stops_is_told() -> None:
    clock, schedule = started()
    with schedule.moving(every=True) as done:
        clock.advance(60)
    schedule.stop()
    assert done.result(0) == HOUR_S
    with schedule.moving(every=True) as done:
        clock.advance(60)
    assert done.result(0) == HOUR_S


def test_who_went_away_is_not_told() -> None:
    clock, schedule = started()
    with schedule.moving(every=True) as done:
        clock.advance(60)
    done.cancel()
    assert due(schedule) == [1]
