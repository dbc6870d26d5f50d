"""Every lane held for a moment: runs are waited for, and none begins meanwhile."""

import threading

import pytest

from pettwin_pipeline.adapters.clock import SystemClock
from pettwin_pipeline.adapters.held_lanes import held_lanes
from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.errors import LanesBusyError, LeaseLostError
from pettwin_pipeline_tests.adapters.ledgers import EPOCH, TOPIC, offsets

PLACE = (TOPIC, EPOCH)
CLOCK = SystemClock()


def busy(ledger: Ledger, lane: int) -> None:
    """A run that holds a lane."""
    record = ledger.request(offsets((lane, 0, 5), lane=lane), CLOCK.now_s())
    ledger.begin(record, 1, "run-1", CLOCK.now_s(), 60)


def test_no_run_can_take_a_lane_that_is_held(ledger: Ledger) -> None:
    record = ledger.request(offsets((0, 0, 5)), CLOCK.now_s())
    with held_lanes(ledger, PLACE, 2, "erase", clock=CLOCK, patience_s=1) as held:
        held.keep()
        with pytest.raises(LeaseLostError, match="lane 0 is held by run erase-"):
            ledger.begin(record, 1, "run-1", CLOCK.now_s(), 60)
    assert ledger.begin(record, 1, "run-1", CLOCK.now_s(), 60).run_id == "run-1"


def test_a_lane_of_another_grouping_is_held_too(ledger: Ledger) -> None:
    busy(ledger, lane=7)
    with (
        pytest.raises(LanesBusyError, match="a run works on lane 7 for longer than 0 s"),
        held_lanes(ledger, PLACE, 2, "erase", clock=CLOCK, patience_s=0),
    ):
        pytest.fail("the lane is not free")
    assert [one.lane for one in ledger.leases(*PLACE)] == [7], "the others are given back"


def test_a_run_is_waited_for(ledger: Ledger) -> None:
    busy(ledger, lane=0)
    (lease,) = ledger.leases(*PLACE)
    (record,) = ledger.unfinished(*PLACE)
    ends = threading.Timer(0.3, ledger.fail, (record, lease, "why", CLOCK.now_s()))
    ends.start()
    with held_lanes(ledger, PLACE, 1, "erase", clock=CLOCK, patience_s=30):
        assert not ends.is_alive()


def test_who_died_while_holding_lanes_does_not_hold_them_for_ever(ledger: Ledger) -> None:
    upkeep = ledger.upkeep
    assert upkeep.hold_lane(*PLACE, 0, "erase-1", (100.0, 220.0)) is not None
    assert upkeep.hold_lane(*PLACE, 0, "erase-2", (219.0, 300.0)) is None
    later = upkeep.hold_lane(*PLACE, 0, "erase-2", (221.0, 300.0))
    assert later is not None
    assert later.token == 2
