"""What the broker dropped before it was read: told, and in nobody's way."""

import random

from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    failures,
    metadata,
)

pytestmark = DAGSTERS_OWN


def push_out(pipeline: Pipeline) -> int:
    """Fill partition 0 until the broker drops its oldest messages; returns the low watermark."""
    dice = random.Random(1)
    pipeline.send([Outgoing(b"x", dice.randbytes(65_000)) for _ in range(100)])
    return pipeline.kafka.watermarks("pet-health-stream")[0].low


def test_dropped_offsets_are_a_gap_in_ledger_and_metrics_and_the_rest_is_read(
    pipeline: Pipeline,
) -> None:
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    pipeline.send(calm("rex", 1, since_min=1))
    low = push_out(pipeline)
    assert low > 24
    (request,) = pipeline.tick().run_requests
    assert request.run_key.endswith(f"/0:{low}-124/1")
    assert pipeline.ledger.outcomes.gaps("pet-health-stream") == low - 12
    assert pipeline.ledger.outcomes.tallies()["kafka.offsets.gap"].last_value == low - 12
    assert failures(pipeline.run(request.tags)) == {}
    assert pipeline.committed() == {0: 124}


def test_what_is_known_of_the_pets_outlives_a_gap(pipeline: Pipeline) -> None:
    pipeline.send([*calm("rex", 5), *calm("bo", 5)])
    assert pipeline.step().success
    assert push_out(pipeline) > 120
    pipeline.send(calm("rex", 5, since_min=5))
    result = pipeline.step()
    assert failures(result) == {}
    assert metadata(result, "anomaly_scores")["pets_known"] == 2


def test_a_range_whose_beginning_was_dropped_after_it_was_requested_does_not_stop_the_lane(
    pipeline: Pipeline,
) -> None:
    pipeline.send(calm("rex", 1))
    (first,) = pipeline.tick().run_requests
    push_out(pipeline)
    pipeline.run(first.tags)
    pipeline.let_pass(300)
    assert pipeline.tick().skip_message == "nothing new"  # nothing is left of that range
    assert pipeline.step().success
    assert pipeline.ledger.outcomes.gaps("pet-health-stream") >= 12
    assert pipeline.record().status == "done"
