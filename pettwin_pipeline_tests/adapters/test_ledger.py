"""Ranges: requested once, begun by one, tried again unchanged, done once."""

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


def test_a_new_ledger_knows_nothing(ledger: Ledger) -> None:
    assert ledger.positions(TOPIC, EPOCH) == {}
    assert ledger.unfinished(TOPIC, EPOCH) == ledger.recent(TOPIC, 9) == []
    assert ledger.last_error(TOPIC) is None
    assert ledger.of_run("run-1") is None
    assert ledger.of_id(1) is None


def test_a_range_is_requested_once(ledger: Ledger) -> None:
    first = requested(ledger, (0, 0, 10), (2, 5, 6))
    again = ledger.request(offsets((0, 0, 10), (2, 5, 6)), NOW_S + 99)
    assert again == first
    assert (first.status, first.attempt, first.requested_s) == ("requested", 1, NOW_S)
    assert ledger.unfinished(TOPIC, EPOCH) == [first]
    assert ledger.of_range(first.range) == first


@pytest.mark.parametrize("lane", [0, 1])
def test_offsets_of_an_unfinished_range_cannot_be_requested_in_another(
    ledger: Ledger, lane: int
) -> None:
    first = requested(ledger, (0, 0, 10), (1, 0, 5))
    with pytest.raises(LeaseLostError, match="partition 1 from 4 on"):
        requested(ledger, (1, 4, 9), lane=lane)
    assert ledger.unfinished(TOPIC, EPOCH) == [first]


def test_offsets_that_were_read_cannot_be_requested_again(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    finish(ledger, record, begun(ledger, record, "run-1"))
    with pytest.raises(LeaseLostError, match="partition 0 from 0 on"):
        requested(ledger, (0, 0, 12))
    assert requested(ledger, (0, 10, 12)).status == "requested"


def test_the_same_offsets_of_another_epoch_are_other_offsets(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    finish(ledger, record, begun(ledger, record, "run-1"))
    other = ledger.request(offsets((0, 0, 10), epoch="epoch-2"), NOW_S)
    assert (other.status, other.id == record.id) == ("requested", False)
    assert ledger.positions(TOPIC, "epoch-2") == {}
    assert ledger.unfinished(TOPIC, "epoch-2") == [other]


def test_only_the_requested_attempt_can_be_begun_and_only_once(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    for wrong in (0, 2):
        with pytest.raises(LeaseLostError, match=f"attempt {wrong} of 0:0-10 is not wanted"):
            ledger.begin(record, wrong, "run-1", NOW_S, LEASE_S)
    assert ledger.leases(TOPIC, EPOCH) == []
    begun(ledger, record, "run-1")
    with pytest.raises(LeaseLostError, match="not wanted"):
        begun(ledger, record, "run-1")
    found = ledger.of_run("run-1")
    assert found is not None
    assert (found.id, found.status) == (record.id, "running")


def test_a_done_range_cannot_be_begun(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    finish(ledger, record, begun(ledger, record, "run-1"))
    with pytest.raises(LeaseLostError, match="not wanted any more"):
        begun(ledger, record, "run-2")
    assert status(ledger, record) == ("done", 1)


def test_the_next_attempt_is_the_same_range(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    ledger.fail(record, begun(ledger, record, "run-1"), "ingest: no answer", NOW_S)
    failed = ledger.unfinished(TOPIC, EPOCH)[0]
    assert (failed.status, failed.error) == ("failed", "ingest: no answer")
    again = ledger.request_again(failed, NOW_S + 5)
    assert (again.id, again.range, again.attempt) == (record.id, record.range, 2)
    assert (again.status, again.requested_s) == ("requested", NOW_S + 5)
    assert again.error == ledger.last_error(TOPIC) == "ingest: no answer"
    with pytest.raises(LeaseLostError, match="attempt 1"):
        ledger.begin(record, 1, "run-1", NOW_S, LEASE_S)
    begun(ledger, again, "run-2")


def test_of_two_that_request_the_next_attempt_one_does(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    ledger.fail(record, None, "no", NOW_S)
    failed = ledger.unfinished(TOPIC, EPOCH)[0]
    assert ledger.request_again(failed, NOW_S).attempt == 2
    assert ledger.request_again(failed, NOW_S).attempt == 2


def test_a_range_that_was_finished_meanwhile_is_not_requested_again(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    lease = begun(ledger, record, "run-1")
    seen = ledger.unfinished(TOPIC, EPOCH)[0]
    finish(ledger, record, lease, NOW_S + 2 * LEASE_S)
    assert (
        ledger.request_again(seen, NOW_S + 2 * LEASE_S, "stopped without a word").status == "done"
    )
    assert status(ledger, record) == ("done", 1)
    assert ledger.last_error(TOPIC) is None


def test_a_done_range_cannot_fail_any_more(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    lease = begun(ledger, record, "run-1")
    finish(ledger, record, lease)
    ledger.fail(record, lease, "too late", NOW_S)
    ledger.fail(record, None, "too late", NOW_S)
    assert status(ledger, record) == ("done", 1)
    assert ledger.last_error(TOPIC) is None


def test_finishing_moves_positions_and_frees_the_lane(ledger: Ledger) -> None:
    ledger.start_at(TOPIC, EPOCH, {0: 3, 1: 0, 2: 8})
    record = requested(ledger, (0, 3, 10), (1, 0, 4))
    finish(ledger, record, begun(ledger, record, "run-1"), NOW_S + 5, counts={"messages": 11})
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 4, 2: 8}
    assert ledger.leases(TOPIC, EPOCH) == []
    assert ledger.unfinished(TOPIC, EPOCH) == []
    done = ledger.of_id(record.id)
    assert done is not None
    assert (done.status, done.finished_s, done.counts) == ("done", NOW_S + 5, {"messages": 11})


def test_where_a_partition_begins_is_noted_once(ledger: Ledger) -> None:
    ledger.start_at(TOPIC, EPOCH, {0: 3})
    ledger.start_at(TOPIC, EPOCH, {0: 99, 1: 7})
    assert ledger.positions(TOPIC, EPOCH) == {0: 3, 1: 7}
    assert ledger.positions(TOPIC, "epoch-2") == {}


def test_a_gap_moves_the_position_past_it_and_is_counted_once(ledger: Ledger) -> None:
    ledger.start_at(TOPIC, EPOCH, {0: 3, 1: 5})
    for _ in range(2):
        ledger.setbacks.note_gaps(TOPIC, EPOCH, [Gap(0, 3, 10)], NOW_S)
    assert ledger.positions(TOPIC, EPOCH) == {0: 10, 1: 5}
    assert ledger.outcomes.gaps(TOPIC) == 7
    ledger.setbacks.note_gaps(TOPIC, EPOCH, [Gap(0, 10, 11), Gap(1, 5, 6)], NOW_S)
    assert ledger.outcomes.gaps(TOPIC) == 9
    assert ledger.outcomes.gaps("other") == 0


def test_a_gap_that_somebody_read_past_is_none(ledger: Ledger) -> None:
    ledger.start_at(TOPIC, EPOCH, {0: 20})
    ledger.setbacks.note_gaps(TOPIC, EPOCH, [Gap(0, 3, 10)], NOW_S)
    assert ledger.positions(TOPIC, EPOCH) == {0: 20}
    assert ledger.outcomes.gaps(TOPIC) == 0


def test_the_points_of_a_range_are_claimed_at_most_once(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    assert ledger.claim_report(record, NOW_S)
    assert not ledger.claim_report(record, NOW_S)
    assert ledger.claim_report(requested(ledger, (0, 10, 11)), NOW_S)


def test_the_latest_ranges_come_newest_first_and_done_ones_since_a_time(ledger: Ledger) -> None:
    records = []
    for n in range(3):
        record = requested(ledger, (0, n, n + 1))
        finish(ledger, record, begun(ledger, record, f"run-{n}"), NOW_S + n)
        records.append(record)
    waiting = requested(ledger, (0, 3, 4))
    assert [one.id for one in ledger.recent(TOPIC, 2)] == [waiting.id, records[2].id]
    assert [one.id for one in ledger.done_since(TOPIC, NOW_S + 1)] == [
        one.id for one in records[1:]
    ]


def test_the_ledger_is_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        record = requested(ledger, (0, 0, 10))
        finish(ledger, record, begun(ledger, record, "run-1"))
    with opened(tmp_path) as ledger:
        assert status(ledger, record) == ("done", 1)
        assert ledger.positions(TOPIC, EPOCH) == {0: 10}
