"""A lease is renewed in the background, until its run dies, hangs, or has lost it."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.defs.renewal import SILENT_S, Renewal
from pettwin_pipeline.defs.work import _renewal
from pettwin_pipeline.errors import LeaseLostError
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm
from pettwin_pipeline_tests.stack.programs import wait_for

QUICK_S = 0.01


class Told:
    """Counts renewals; one of them may fail."""

    def __init__(self, **errors: Exception) -> None:
        self.times = 0
        self._errors = {int(name.removeprefix("at_")): error for name, error in errors.items()}

    def __call__(self) -> None:
        """Renew, or fail as told."""
        self.times += 1
        if self.times in self._errors:
            raise self._errors[self.times]


def has_ended(one: Renewal) -> bool:
    return not one._thread.is_alive()


def test_a_lease_is_renewed_again_and_again_while_the_block_runs() -> None:
    told = Told()
    with Renewal(told, QUICK_S) as renewal:
        wait_for(lambda: told.times > 3)
    assert has_ended(renewal)


def test_who_lost_the_lease_hears_it_when_it_says_that_it_lives() -> None:
    told = Told(at_2=LeaseLostError("lost"), at_3=LeaseLostError("lost"))
    with Renewal(told, QUICK_S) as renewal:
        wait_for(lambda: has_ended(renewal))
        assert told.times == 2, "the background does not ask again"
        with pytest.raises(LeaseLostError, match="lost"):
            renewal.now()


def test_a_database_that_is_away_for_a_moment_is_asked_again() -> None:
    told = Told(at_1=OSError("away"), at_2=RuntimeError("locked"))
    with Renewal(told, QUICK_S) as renewal:
        wait_for(lambda: told.times > 3)
        assert not has_ended(renewal)


def test_a_stage_that_says_nothing_for_long_is_left_to_lose_its_lease() -> None:
    clock = [0.0]
    told = Told()
    with Renewal(told, QUICK_S, lambda: clock[0]) as renewal:
        clock[0] += SILENT_S
        renewal.now()
        clock[0] += SILENT_S
        before = told.times
        wait_for(lambda: told.times > before)
        clock[0] += 1
        wait_for(lambda: has_ended(renewal))


def test_a_stage_that_fails_ends_its_renewal() -> None:
    renewal = Renewal(Told(), QUICK_S)
    with pytest.raises(OSError, match="disk full"), renewal:
        raise OSError("disk full")
    assert has_ended(renewal)


@pytest.fixture
def ports(pipeline: Pipeline) -> Iterator[Ports]:
    """The outside of a pipeline."""
    ports = Ports()
    yield ports
    ports.close()


@DAGSTERS_OWN
def test_the_lane_of_a_stage_that_works_for_long_is_not_given_to_another_run(
    pipeline: Pipeline, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_LEASE_S", "10")
    pipeline.send(calm("rex", 1))
    assert len(pipeline.tick().run_requests) == 1
    lease = ports.ledger.begin(pipeline.record(), 1, "slow", ports.now_s, 10)
    pipeline.let_pass(9)
    renewal = _renewal(ports, lease)
    renewal._every_s = QUICK_S
    with renewal:
        for _ in range(3):
            wait_for(lambda: is_held(ports))
            pipeline.let_pass(9)
        wait_for(lambda: is_held(ports))
        assert pipeline.tick().run_requests == []
    pipeline.let_pass(11)
    (again,) = pipeline.tick().run_requests
    assert again.tags["pettwin/attempt"] == "2"


def is_held(ports: Ports) -> bool:
    topic = "pet-health-stream"
    (lease,) = ports.ledger.leases(topic, ports.kafka.topic_epoch(topic))
    return lease.expires_s > ports.now_s + 5
