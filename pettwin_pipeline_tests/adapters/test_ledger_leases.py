"""Leases: one run a lane, tokens that grow, and nothing written by who lost one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_records import Lease, RangeRecord
from pettwin_pipeline.errors import LeaseLostError
from pettwin_pipeline_tests.adapters.ledgers import (
    EPOCH,
    LEASE_S,
    NOW_S,
    TOPIC,
    alert,
    begun,
    episode,
    finish,
    opened,
    requested,
    status,
)

pytestmark = pytest.mark.usefixtures("database")

Held = tuple[Ledger, RangeRecord, Lease]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    """A range that run-1 works on, until NOW_S + LEASE_S."""
    with opened(tmp_path) as ledger:
        record = requested(ledger, (0, 0, 10))
        yield ledger, record, begun(ledger, record, "run-1")


def taken_over(ledger: Ledger, now_s: float = NOW_S + LEASE_S) -> tuple[RangeRecord, Lease]:
    """The range and its new lease, after run-2 took it from run-1."""
    again = ledger.request_again(ledger.unfinished(TOPIC, EPOCH)[0], now_s, "stopped")
    return again, begun(ledger, again, "run-2", now_s)


def test_a_lease_names_its_lane_run_and_end(held: Held) -> None:
    ledger, record, lease = held
    assert lease == Lease(TOPIC, EPOCH, 0, "run-1", 1, NOW_S, NOW_S + LEASE_S)
    assert ledger.leases(TOPIC, EPOCH) == [lease]
    assert ledger.lease_of(record, "run-1") == lease
    with pytest.raises(LeaseLostError, match="run-2 does not hold lane 0"):
        ledger.lease_of(record, "run-2")


def test_a_lane_that_is_held_is_refused_with_the_name_of_its_holder(held: Held) -> None:
    ledger, _, lease = held
    with pytest.raises(LeaseLostError, match="lane 0 is held by run run-1"):
        taken_over(ledger, NOW_S + LEASE_S - 0.1)
    assert ledger.leases(TOPIC, EPOCH) == [lease]


def test_another_lane_is_free(held: Held) -> None:
    ledger, _, _ = held
    other = requested(ledger, (1, 0, 5), lane=1)
    assert begun(ledger, other, "run-2").token == 1
    assert [one.run_id for one in ledger.leases(TOPIC, EPOCH)] == ["run-1", "run-2"]


def test_an_expired_lease_is_taken_with_a_higher_token(held: Held) -> None:
    ledger, record, lease = held
    again, newer = taken_over(ledger)
    assert (newer.run_id, newer.token) == ("run-2", lease.token + 1)
    assert ledger.leases(TOPIC, EPOCH) == [newer]
    assert status(ledger, record) == ("running", 2)
    assert ledger.lease_of(again, "run-2") == newer


def test_a_lane_freed_by_its_run_is_taken_at_once_with_a_higher_token(held: Held) -> None:
    ledger, record, lease = held
    finish(ledger, record, lease)
    following = requested(ledger, (0, 10, 12))
    assert begun(ledger, following, "run-2").token == 2


def test_a_renewed_lease_is_held_for_longer(held: Held) -> None:
    ledger, _, lease = held
    ledger.renew(lease, NOW_S + 50, LEASE_S)
    assert ledger.leases(TOPIC, EPOCH)[0].expires_s == NOW_S + 50 + LEASE_S
    with pytest.raises(LeaseLostError, match="is held by"):
        taken_over(ledger, NOW_S + LEASE_S + 1)


def test_an_expired_lease_that_nobody_took_can_be_renewed(held: Held) -> None:
    ledger, record, lease = held
    ledger.renew(lease, NOW_S + 10 * LEASE_S, LEASE_S)
    finish(ledger, record, lease)
    assert status(ledger, record) == ("done", 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, _, lease: ledger.renew(lease, NOW_S, LEASE_S),
        lambda ledger, record, lease: finish(
            ledger,
            record,
            lease,
            episodes=[episode()],
            alerts=[alert()],
            counts={"messages": 10},
        ),
    ],
    ids=["renew", "finish"],
)
def test_who_lost_the_lease_can_write_nothing_more(
    held: Held, write: Callable[[Ledger, RangeRecord, Lease], None]
) -> None:
    ledger, record, lease = held
    _, newer = taken_over(ledger)
    with pytest.raises(LeaseLostError, match="run-1 does not hold lane 0 any more"):
        write(ledger, record, lease)
    assert ledger.leases(TOPIC, EPOCH) == [newer]
    assert status(ledger, record) == ("running", 2)
    assert ledger.positions(TOPIC, EPOCH) == {}
    assert ledger.outcomes.count_alerts() == {}
    assert ledger.outcomes.count_episodes() == 0


@pytest.mark.parametrize("knows_attempt", [1, 2])
def test_who_lost_the_lease_cannot_fail_the_attempt_of_another(
    held: Held, knows_attempt: int
) -> None:
    ledger, record, lease = held
    again, newer = taken_over(ledger)
    ledger.fail({1: record, 2: again}[knows_attempt], lease, "late", NOW_S + LEASE_S)
    assert status(ledger, record) == ("running", 2)
    assert ledger.leases(TOPIC, EPOCH) == [newer]
    assert ledger.last_error(TOPIC) == "stopped"


def test_a_failure_frees_the_lane(held: Held) -> None:
    ledger, record, lease = held
    ledger.fail(record, lease, "score: disk full", NOW_S + 1)
    assert ledger.leases(TOPIC, EPOCH) == []
    assert status(ledger, record) == ("failed", 1)
    with pytest.raises(LeaseLostError):
        ledger.renew(lease, NOW_S, LEASE_S)


def test_a_run_that_was_given_up_but_lives_finishes_and_its_successor_is_not_wanted(
    held: Held,
) -> None:
    ledger, record, lease = held
    again = ledger.request_again(ledger.unfinished(TOPIC, EPOCH)[0], NOW_S + LEASE_S, "stopped")
    finish(ledger, record, lease, NOW_S + LEASE_S)
    with pytest.raises(LeaseLostError, match="attempt 2 of 0:0-10 is not wanted any more"):
        begun(ledger, again, "run-2", NOW_S + LEASE_S)
    assert status(ledger, record) == ("done", 2)
    assert ledger.leases(TOPIC, EPOCH) == []


def test_a_run_that_cannot_begin_leaves_the_lane_as_it_was(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        record = requested(ledger, (0, 0, 10))
        finish(ledger, record, begun(ledger, record, "run-1"))
        with pytest.raises(LeaseLostError):
            begun(ledger, record, "run-2")
        following = requested(ledger, (0, 10, 11))
        assert begun(ledger, following, "run-3").token == 2


def test_a_lease_whose_range_was_asked_for_again_cannot_be_renewed(held: Held) -> None:
    ledger, record, lease = held
    ledger.renew(lease, NOW_S + 1, LEASE_S)
    ledger.request_again(ledger.unfinished(TOPIC, EPOCH)[0], NOW_S + 2 * LEASE_S, "stopped")
    with pytest.raises(LeaseLostError, match="ran out and its range was asked for again"):
        ledger.renew(lease, NOW_S + 2 * LEASE_S, LEASE_S)
    assert status(ledger, record) == ("requested", 2)
    assert ledger.leases(TOPIC, EPOCH)[0].expires_s == NOW_S + 1 + LEASE_S
