"""When an unfinished range is asked for again."""

from dataclasses import replace

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_records import REQUEST_GRACE_S, Lease, due
from pettwin_pipeline_tests.adapters.ledgers import (
    EPOCH,
    LEASE_S,
    NOW_S,
    TOPIC,
    begun,
    requested,
)

pytestmark = pytest.mark.usefixtures("database")


FAILED = "failed"
RUNNING = "running"
REQUESTED = "requested"


@pytest.mark.parametrize(
    ("status", "after_s", "held_s", "why"),
    [
        (FAILED, 4.9, 0, None),
        (FAILED, 5.0, 0, "score: disk full"),
        (RUNNING, 59.9, LEASE_S, None),
        (RUNNING, 60.0, LEASE_S, "run run-1 stopped without a word"),
        (RUNNING, 0.0, 0, "run run-1 stopped without a word"),
        (REQUESTED, REQUEST_GRACE_S, 0, None),
        (REQUESTED, REQUEST_GRACE_S + 1, 0, "the run never started"),
        (REQUESTED, REQUEST_GRACE_S + 1, 10**6, "the run never started"),
    ],
)
def test_an_unfinished_range_is_due_when_nobody_works_on_it_any_more(
    ledger: Ledger, status: str, after_s: float, held_s: float, why: str | None
) -> None:
    record = replace(
        requested(ledger, (0, 0, 10)),
        status=status,  # type: ignore[arg-type]
        run_id="run-1",
        error="score: disk full",
        not_before_s=NOW_S + 5,
    )
    lease = Lease(TOPIC, EPOCH, 0, "run-1", 1, NOW_S, NOW_S + held_s)
    assert due(record, [lease] if held_s else [], NOW_S + after_s) == why


def test_a_lease_on_another_lane_or_of_another_run_does_not_count(ledger: Ledger) -> None:
    record = replace(requested(ledger, (0, 0, 10)), status="running", run_id="run-1")
    other_run = Lease(TOPIC, EPOCH, 0, "run-2", 2, NOW_S, NOW_S + LEASE_S)
    other_lane = Lease(TOPIC, EPOCH, 1, "run-1", 1, NOW_S, NOW_S + LEASE_S)
    assert due(record, [other_run, other_lane], NOW_S) == "run run-1 stopped without a word"


def test_a_failure_without_words_is_due_too(ledger: Ledger) -> None:
    record = replace(requested(ledger, (0, 0, 10)), status="failed", error="")
    assert due(record, [], NOW_S)


def test_the_wait_after_a_failure_grows_with_the_attempts(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 10))
    waits = []
    for attempt in (1, 2, 3):
        ledger.fail(record, begun(ledger, record, f"run-{attempt}"), "no", NOW_S)
        failed = ledger.unfinished(TOPIC, EPOCH)[0]
        waits.append(failed.not_before_s - NOW_S)
        record = ledger.request_again(failed, NOW_S)
    assert waits == [5.0, 10.0, 20.0]
