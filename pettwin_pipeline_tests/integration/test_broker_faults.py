"""A broker that goes away, or does not answer, in the middle of a batch: a reason, and no harm."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, failures
from pettwin_pipeline_tests.integration.brokers import OwnBroker
from pettwin_pipeline_tests.integration.dying_worker import disturbed
from pettwin_pipeline_tests.integration.outcomes import (
    LONG_S,
    Outcome,
    new_pipeline,
    outcome,
    run_until_done,
)

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

READING: Final = r"readings-\w+ was not read to the end within 4 s: partition 0 stands at 0 of 304"
COMMITTING: Final = r"nothing was committed: the broker at .* does not answer"


class Fault(NamedTuple):
    """What happens to the broker when a run is at a point, how it ends, and what is told."""

    point: str
    away: Callable[[OwnBroker], None]
    back: Callable[[OwnBroker], None]
    asset: str
    told: str


FAULTS: Final = {
    "killed before reading": Fault(
        "after the lane was taken",
        *(OwnBroker.kill, OwnBroker.start, "telemetry_batch", READING),
    ),
    "paused before reading": Fault(
        "after the lane was taken",
        *(OwnBroker.pause, OwnBroker.resume, "telemetry_batch", READING),
    ),
    "stopped in the transaction": Fault(
        "in the open transaction",
        *(OwnBroker.stop, OwnBroker.start, "health_alerts", COMMITTING),
    ),
    "paused before the transaction": Fault(
        "before the transaction",
        *(OwnBroker.pause, OwnBroker.resume, "health_alerts", COMMITTING),
    ),
}


@pytest.fixture
def pipeline(frail_broker: OwnBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    return new_pipeline(frail_broker.address, tmp_path / "pipeline", monkeypatch)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_broker_that_goes_away_fails_the_run_and_once_it_is_back_nothing_is_lost_or_twice(
    pipeline: Pipeline,
    frail_broker: OwnBroker,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Outcome,
    fault: Fault,
) -> None:
    (request,) = pipeline.tick().run_requests
    with monkeypatch.context() as hurried:
        hurried.setenv("KAFKA_TIMEOUT_S", "1.5")
        try:
            with disturbed(fault.point, lambda: fault.away(frail_broker)):
                failed = failures(pipeline.run(request.tags))
        finally:
            fault.back(frail_broker)
    assert list(failed) == [fault.asset]
    assert re.match(fault.told, failed[fault.asset])
    assert pipeline.record().status == "failed"
    pipeline.let_pass(LONG_S)
    run_until_done(pipeline)
    assert outcome(pipeline) == undisturbed
    assert pipeline.record().attempt == 2
