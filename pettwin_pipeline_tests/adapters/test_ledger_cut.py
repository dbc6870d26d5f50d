"""Ranges of which the broker dropped the beginning: what is left takes their place."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.batches import Gap
from pettwin_pipeline.errors import LeaseLostError
from pettwin_pipeline_tests.adapters.ledgers import (
    EPOCH,
    LEASE_S,
    NOW_S,
    TOPIC,
    begun,
    finish,
    offsets,
    opened,
    requested,
    status,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Partitions 0 and 1 begin at 0."""
    with opened(tmp_path) as ledger:
        ledger.start_at(TOPIC, EPOCH, {0: 0, 1: 0})
        yield ledger


def test_what_is_left_is_requested_and_the_gap_is_noted(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10), (1, 0, 5))
    rest = ledger.setbacks.cut(record, offsets((0, 4, 10), (1, 0, 5)), [Gap(0, 0, 4)], NOW_S + 1)
    assert rest is not None
    assert (rest.range.text, rest.status, rest.attempt) == ("0:4-10,1:0-5", "requested", 1)
    assert ledger.unfinished(TOPIC, EPOCH) == [rest]
    assert status(ledger, record) == ("cut", 1)
    assert ledger.positions(TOPIC, EPOCH) == {0: 4, 1: 0}
    assert ledger.outcomes.gaps(TOPIC) == 4
    finish(ledger, rest, begun(ledger, rest, "run-1"))
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 5}


def test_nothing_left_is_a_gap_only(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    assert ledger.setbacks.cut(record, None, [Gap(0, 0, 10)], NOW_S) is None
    assert ledger.unfinished(TOPIC, EPOCH) == []
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 0}
    assert requested(ledger, (0, 10, 12)).status == "requested"


def test_a_range_that_was_moved_on_meanwhile_is_not_cut(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    finish(ledger, record, begun(ledger, record, "run-1"))
    assert ledger.setbacks.cut(record, offsets((0, 4, 10)), [Gap(0, 0, 4)], NOW_S) is None
    assert status(ledger, record) == ("done", 1)
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 0}
    assert ledger.outcomes.gaps(TOPIC) == 0


def test_a_cut_range_can_neither_be_begun_nor_fail_nor_be_finished(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    lease = begun(ledger, record, "stalled")
    (running,) = ledger.unfinished(TOPIC, EPOCH)
    rest = ledger.setbacks.cut(running, offsets((0, 4, 10)), [Gap(0, 0, 4)], NOW_S + LEASE_S)
    assert rest is not None
    with pytest.raises(LeaseLostError, match="0:0-10 was ended by somebody else"):
        finish(ledger, record, lease, counts={"messages": 10})
    assert ledger.positions(TOPIC, EPOCH) == {0: 4, 1: 0}
    ledger.fail(record, lease, "late", NOW_S + LEASE_S)
    assert status(ledger, record) == ("cut", 1)
    with pytest.raises(LeaseLostError, match="not wanted any more"):
        ledger.begin(record, 1, "run-2", NOW_S + LEASE_S, LEASE_S)
    finish(ledger, rest, begun(ledger, rest, "run-2", NOW_S + LEASE_S))
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 0}


def test_baselines_lie_where_the_last_range_ended_not_where_a_gap_did(ledger: Ledger) -> None:
    assert ledger.scored_to(TOPIC, EPOCH) == {}
    record = requested(ledger, (0, 0, 10))
    finish(ledger, record, begun(ledger, record, "run-1"))
    ledger.setbacks.note_gaps(TOPIC, EPOCH, [Gap(0, 10, 15), Gap(1, 0, 3)], NOW_S)
    assert ledger.positions(TOPIC, EPOCH) == {0: 15, 1: 3}
    assert ledger.scored_to(TOPIC, EPOCH) == {0: 10}
    assert ledger.scored_to(TOPIC, "epoch-2") == {}


def test_a_part_knows_every_whole_that_it_was_cut_out_of(ledger: Ledger) -> None:
    whole = requested(ledger, (0, 0, 8), (1, 0, 5))
    halves = offsets((0, 0, 4), (1, 0, 3)), offsets((0, 4, 8), (1, 3, 5))
    first = ledger.setbacks.replace_by_halves(whole, halves, "failed", NOW_S)
    assert first is not None
    quarters = offsets((0, 0, 2), (1, 0, 2)), offsets((0, 2, 4), (1, 2, 3))
    ledger.setbacks.replace_by_halves(first, quarters, "failed", NOW_S)
    wholes = ledger.setbacks.wholes
    assert wholes(quarters[1]) == [whole.range, first.range]
    assert wholes(halves[1]) == [whole.range]
    assert wholes(whole.range) == [whole.range], "itself, now that it is cut"
    assert wholes(offsets((0, 6, 9))) == [], "one offset is not in it"
    assert wholes(offsets((0, 6, 8), (2, 0, 1))) == [], "one partition is not in it"
    assert wholes(offsets((0, 6, 8), epoch="another")) == []
