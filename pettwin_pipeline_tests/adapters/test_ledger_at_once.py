"""Several processes use one ledger at once: here threads, each with an engine of its own."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_records import Lease, RangeRecord
from pettwin_pipeline.errors import LeaseLostError
from pettwin_pipeline_tests.adapters.ledgers import (
    EPOCH,
    NOW_S,
    TOPIC,
    begun,
    opened,
    requested,
)

pytestmark = pytest.mark.usefixtures("database")


def at_once(folder: Path, many: int, do: Callable[[Ledger, int], object]) -> list[object]:
    """What `do` gives or raises in so many threads, each with an engine of its own, at once."""
    barrier = threading.Barrier(many, timeout=20)
    answers: list[object] = []

    def one(number: int) -> None:
        barrier.wait()
        with opened(folder) as ledger:
            barrier.wait()
            try:
                answers.append(do(ledger, number))
            except LeaseLostError as error:
                answers.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == many
    return answers


def test_of_many_runs_that_begin_at_once_exactly_one_does(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        record = requested(ledger, (0, 0, 10))
    answers = at_once(tmp_path, 6, lambda ledger, n: begun(ledger, record, f"run-{n}"))
    (lease,) = [one for one in answers if isinstance(one, Lease)]
    with opened(tmp_path) as ledger:
        assert ledger.leases(TOPIC, EPOCH) == [lease]
        found = ledger.of_id(record.id)
        assert found is not None
        assert found.run_id == lease.run_id


def test_of_many_that_request_the_same_range_at_once_all_get_the_same(tmp_path: Path) -> None:
    answers = at_once(tmp_path, 6, lambda ledger, _: requested(ledger, (0, 0, 10)))
    assert {one.id if isinstance(one, RangeRecord) else 0 for one in answers} == {1}


def test_of_many_that_request_overlapping_ranges_at_once_one_gets_it(tmp_path: Path) -> None:
    answers = at_once(tmp_path, 6, lambda ledger, n: requested(ledger, (0, 0, 10 + n)))
    assert sum(isinstance(one, RangeRecord) for one in answers) == 1
    with opened(tmp_path) as ledger:
        assert len(ledger.unfinished(TOPIC, EPOCH)) == 1


def test_of_many_that_claim_the_points_at_once_one_gets_them(tmp_path: Path) -> None:
    with opened(tmp_path) as ledger:
        record = requested(ledger, (0, 0, 10))
    answers = at_once(tmp_path, 6, lambda ledger, _: ledger.claim_report(record, NOW_S))
    assert sorted(map(bool, answers)) == [False] * 5 + [True]


def test_many_that_open_a_new_ledger_at_once_all_can(tmp_path: Path) -> None:
    for number in range(8):
        answers = at_once(tmp_path / str(number), 6, lambda ledger, _: ledger.recent(TOPIC, 1))
        assert answers == [[]] * 6
