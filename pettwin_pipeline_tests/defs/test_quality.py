"""Labels come late, again and broken; a day is measured by them, and counted once."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from pettwin_pipeline.adapters.hour_files import HOUR_S
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.defs.labels import AGAIN_S, SETTLE_S
from pettwin_pipeline.readings.simulator.labels import Label, encode_label
from pettwin_pipeline_tests.defs.pipeline import (
    BEGIN_S,
    DAGSTERS_OWN,
    Pipeline,
    calm,
    checks,
    failures,
    metadata,
    racing,
    repository,
)

pytestmark = DAGSTERS_OWN

DAY = "2026-03-01"
MINUTE_MS = 60_000
QUARTER_MIN = 15


def label(kind: Any, begin_min: float, end_min: float | None, **given: Any) -> Label:
    begin_ms = BEGIN_S * 1000 + round(begin_min * MINUTE_MS)
    end_ms = None if end_min is None else BEGIN_S * 1000 + round(end_min * MINUTE_MS)
    pet = given.pop("pet_id", "rex")
    name = given.pop("label_id", f"{pet}/{kind}/{begin_min}")
    return Label(
        label_id=name,
        pet_id=pet,
        kind=kind,
        name=kind,
        start_ms=begin_ms,
        end_ms=end_ms,
        **given,
    )


def send(pipeline: Pipeline, *labels: Label | bytes) -> None:
    messages = [
        Outgoing(b"rex", one if isinstance(one, bytes) else encode_label(one)) for one in labels
    ]
    pipeline.kafka.publish(pipeline.settings.kafka_labels_topic, messages)


def measured(pipeline: Pipeline, day: str = DAY) -> dg.ExecuteInProcessResult:
    job: dg.JobDefinition = repository().get_job("quality_job")
    return job.execute_in_process(
        instance=pipeline.instance, partition_key=day, raise_on_error=False
    )


def row(result: dg.ExecuteInProcessResult, detector: str = "ensemble") -> dict[str, Any]:
    rows: list[dict[str, Any]] = metadata(result, "detection_quality")["quality"]
    (found,) = [one for one in rows if (one["detector"], one["species"]) == (detector, "all")]
    return found


def sent(pipeline: Pipeline, metric: str) -> int:
    """Points of a metric that were made so far."""
    tally = pipeline.ledger.outcomes.tallies().get(metric)
    return 0 if tally is None else tally.points


@pytest.fixture
def ill(pipeline: Pipeline) -> Pipeline:
    """Rex is well for two hours and a half and ill for half an hour; Bo is well all the time."""
    pipeline.send([*calm("rex", 150), *racing("rex", 30, since_min=150)])
    pipeline.send(calm("bo", 180), partition=2)
    assert pipeline.step().success
    return pipeline


def truth(ends: bool = True) -> list[Label]:
    """What was true, in eleven labels."""
    well = [label("healthy", 30 * n, 30 * n + 30) for n in range(5)]
    other = [label("healthy", 36 * n, 36 * n + 36, pet_id="bo") for n in range(5)]
    visible_ms = (BEGIN_S + 200 * 60) * 1000
    ill = label("illness", 150, 180 if ends else None, visible_ms=visible_ms, severity=0.9)
    return [*well, *other, ill]


def test_a_day_is_measured_by_its_labels_once_they_have_settled(ill: Pipeline) -> None:
    send(ill, *truth())
    assert "11 new labels; no day is due" in ill.tick("new_labels").skip_message
    ill.let_pass(SETTLE_S + 1)
    (request,) = ill.tick("new_labels").run_requests
    assert request.partition_key == DAY
    assert "0 new labels; no day is due" in ill.tick("new_labels").skip_message
    result = measured(ill)
    assert failures(result) == {}
    # rex: 10 windows well, 2 ill and both told; bo: those that one label covers whole
    found = row(result)
    assert (found["tp"], found["fn"], found["fp"]) == (2, 0, 0)
    assert found["tn"] >= 15
    assert found["recall"].startswith("1.00 [")
    assert checks(result)["accuracy_is_as_agreed"]
    assert metadata(result, "detection_quality")["picture"].startswith("![2026-03-01](data:")
    assert row(result, "statistical") == {**found, "detector": "statistical"}


def test_a_day_that_was_asked_for_in_vain_is_asked_for_again(ill: Pipeline) -> None:
    send(ill, *truth())
    ill.tick("new_labels")
    ill.let_pass(SETTLE_S + 1)
    assert len(ill.tick("new_labels").run_requests) == 1
    ill.let_pass(AGAIN_S + 1)
    assert len(ill.tick("new_labels").run_requests) == 1
    assert measured(ill).success
    ill.let_pass(AGAIN_S + 1)
    assert "no day is due" in ill.tick("new_labels").skip_message


def test_a_label_that_comes_late_changes_the_day_and_what_was_counted_stays_counted(
    ill: Pipeline,
) -> None:
    send(ill, *truth()[:-1])
    ill.tick("new_labels")
    first = row(measured(ill))
    assert (first["tp"], first["fn"]) == (0, 0)
    before = sent(ill, "pet.health.anomaly.verdicts")
    send(ill, truth()[-1])
    ill.tick("new_labels")
    later = row(measured(ill))
    assert (later["tp"], later["tn"]) == (2, first["tn"])
    assert sent(ill, "pet.health.anomaly.verdicts") - before == 2  # tp of each detector, no tn
    assert row(measured(ill)) == later
    assert sent(ill, "pet.health.anomaly.verdicts") - before == 2


def test_the_lead_of_an_illness_is_reported_once(ill: Pipeline) -> None:
    send(ill, *truth())
    ill.tick("new_labels")
    assert measured(ill).success
    assert sent(ill, "pet.health.anomaly.lead_time") == 2  # one a detector
    assert measured(ill).success
    assert sent(ill, "pet.health.anomaly.lead_time") == 2


def test_the_later_message_of_a_label_replaces_the_earlier(ill: Pipeline) -> None:
    send(ill, *truth(ends=False))
    ill.tick("new_labels")
    send(ill, truth()[-1])
    ill.tick("new_labels")
    begin_ms = BEGIN_S * 1000
    kept = ill.ledger.labels.between(begin_ms, begin_ms + 180 * MINUTE_MS)
    assert sorted(kept, key=lambda one: one.label_id) == sorted(
        truth(), key=lambda one: one.label_id
    )


def test_nothing_is_published_under_the_least_of_labels(ill: Pipeline) -> None:
    send(ill, *truth()[-2:])
    ill.tick("new_labels")
    result = measured(ill)
    assert failures(result) == {}
    assert row(result)["recall"] == "-"
    assert "picture" not in metadata(result, "detection_quality")
    ill.tick("new_labels")
    assert not [name for name in ill.ledger.outcomes.tallies() if "anomaly.re" in name]
    assert sent(ill, "pet.health.anomaly.verdicts") == 0
    send(ill, *truth()[:-2])  # and what was not counted then is counted now
    ill.tick("new_labels")
    assert row(measured(ill))["tp"] == 2
    assert sent(ill, "pet.health.anomaly.verdicts") == 4  # tp and tn of each detector


def test_what_is_no_label_goes_to_the_dead_letters_and_stops_none(ill: Pipeline) -> None:
    broken = [b"{", b'{"label_id": "x"}', encode_label(truth()[0]).replace(b"healthy", b"merry")]
    send(ill, *broken, *truth())
    assert "11 new labels" in ill.tick("new_labels").skip_message
    letters = ill.messages(ill.settings.dead_letter_topic)
    assert sorted(one.value() for one in letters) == sorted(broken)
    topics = {dict(one.headers())["topic"] for one in letters}
    assert topics == {ill.settings.kafka_labels_topic.encode()}
    assert "0 new labels" in ill.tick("new_labels").skip_message


def test_a_day_whose_readings_were_removed_keeps_what_was_measured(ill: Pipeline) -> None:
    send(ill, *truth())
    ill.tick("new_labels")
    assert measured(ill).success
    kept = ill.ledger.labels.qualities(DAY)
    ill.files.path(ill.record().range, "readings", "parquet").unlink()
    assert "cannot be measured again" in failures(measured(ill))["labelled_days"]
    assert ill.ledger.labels.qualities(DAY) == kept


def test_a_compacted_hour_measures_the_same(ill: Pipeline) -> None:
    send(ill, *truth())
    ill.tick("new_labels")
    before = row(measured(ill))
    ill.let_pass(2 * HOUR_S)
    finished_s = ill.record().finished_s
    assert finished_s is not None
    hour = datetime.fromtimestamp(finished_s, tz=UTC).strftime("%Y-%m-%d-%H:00")
    job: dg.JobDefinition = repository().get_job("compaction_job")
    assert job.execute_in_process(instance=ill.instance, partition_key=hour).success
    assert ill.record().compacted_s is not None
    assert row(measured(ill)) == before


def test_a_pet_that_was_erased_has_no_labels_any_more(ill: Pipeline) -> None:
    send(ill, *truth())
    ill.tick("new_labels")
    assert ill.ledger.upkeep.erase("rex", ill.record().requested_s)["labels"] == 6
    left = ill.ledger.labels.between(0, 2**52)
    assert {one.pet_id for one in left} == {"bo"}


def test_every_hour_asks_for_the_day_that_labels_lie_over(ill: Pipeline) -> None:
    schedule: dg.ScheduleDefinition = repository().get_schedule_def("hourly_quality")
    from pettwin_pipeline.defs.ports import Ports

    def tick(hour: int) -> Any:
        at = datetime(2026, 3, 1 if hour < 24 else 2, hour % 24, 22, tzinfo=UTC)
        with dg.build_schedule_context(
            instance=ill.instance,
            scheduled_execution_time=at,
            resources={"ports": Ports()},
            repository_def=repository(),
        ) as context:
            return schedule.evaluate_tick(context)

    assert "no label lies over 2026-03-01" in tick(3).skip_message
    send(ill, *truth())
    ill.tick("new_labels")
    assert tick(24).run_requests[0].partition_key == DAY  # at 00:22 the day that is over
    assert "no label lies over 2026-03-02" in tick(25).skip_message
