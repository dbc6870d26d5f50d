"""One run of the stream job, looked at from all sides."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import dagster as dg
import pytest

from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.detection.alerts import parse_alert
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    NONSENSE,
    Pipeline,
    calm,
    checks,
    failures,
    metadata,
    racing,
    reading,
)

pytestmark = DAGSTERS_OWN


class Done(NamedTuple):
    """A pipeline after its first run."""

    pipeline: Pipeline
    tags: dict[str, str]
    result: dg.ExecuteInProcessResult

    @property
    def record(self) -> RangeRecord:
        """The range of that run as the ledger has it now."""
        record = self.pipeline.ledger.of_run(self.result.run_id)
        assert record is not None
        return record


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    """Rex raced for 10 of 40 minutes, bo did not; four messages were nonsense; more came later."""
    with EmbeddedBroker() as broker, pytest.MonkeyPatch.context() as patch:
        pipeline = Pipeline(tmp_path_factory.mktemp("run"), broker, patch)
        pipeline.send(calm("rex", 30) + racing("rex", 10, since_min=30))
        pipeline.send([*NONSENSE[:2], *calm("bo", 5), *NONSENSE[2:]], partition=1)
        (request,) = pipeline.tick().run_requests
        pipeline.send(calm("late", 1), partition=0)
        result = pipeline.run(request.tags)
        assert failures(result) == {}
        yield Done(pipeline, request.tags, result)


def test_exactly_the_range_is_read_though_more_arrived(done: Done) -> None:
    told = metadata(done.result, "telemetry_batch")
    assert (told["messages"], told["dagster/row_count"], told["pets"]) == (544, 540, 2)
    readings = done.pipeline.files.read_frame(done.record.range, "readings")
    assert readings.group_by("partition").len().sort("partition").rows() == [(0, 480), (1, 60)]
    assert readings["offset"].to_list()[:480] == list(range(480))
    assert "late" not in readings["pet_id"].unique().to_list()


def test_what_is_not_a_reading_is_a_dead_letter_with_reason_place_and_the_original_bytes(
    done: Done,
) -> None:
    letters = done.pipeline.messages(done.pipeline.settings.dead_letter_topic)
    found = {}
    for letter in letters:
        headers = dict(letter.headers())
        assert headers["topic"] == b"pet-health-stream"
        assert headers["partition"] == b"1"
        assert headers["partitions"] == b"4"
        assert headers["epoch"] == done.record.range.epoch.encode()
        assert int(headers["timestamp"]) > 0
        assert headers["detail"]
        found[int(headers["offset"])] = (letter.key(), letter.value(), headers["reason"])
    reasons = [b"not_json", b"tombstone", b"missing_field", b"not_utf8"]
    sent = [(one.key, one.value, reason) for one, reason in zip(NONSENSE, reasons, strict=True)]
    assert found == dict(zip((0, 1, 62, 63), sent, strict=True))


def test_rejects_are_listed_by_reason_with_an_example(done: Done) -> None:
    table = metadata(done.result, "telemetry_batch")["rejects"]
    rows = {row["reason"]: row for row in table}
    assert {reason: row["count"] for reason, row in rows.items()} == {
        "not_json": 1,
        "tombstone": 1,
        "missing_field": 1,
        "not_utf8": 1,
    }
    assert rows["missing_field"]["for example"] == "1/62: timestamp: missing"


def alerts_on_topic(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [json.loads(one.value()) for one in pipeline.messages("pet-health-alerts")]


def test_alerts_on_the_topic_are_those_of_the_ledger_each_with_an_id_of_its_own(
    done: Done,
) -> None:
    sent = {one["alert_id"]: one for one in alerts_on_topic(done.pipeline)}
    kept = {one["alert_id"]: one for one in done.pipeline.ledger.outcomes.alerts(99)}
    assert sent == kept
    assert len(sent) == len(done.pipeline.messages("pet-health-alerts")) > 0
    assert {one["pet_id"] for one in sent.values()} == {"rex"}
    keys = {one.key() for one in done.pipeline.messages("pet-health-alerts")}
    assert keys == {b"rex"}
    assert len({(one["episode_id"], one["severity"]) for one in sent.values()}) == len(sent)


def test_an_alert_on_the_topic_can_be_parsed_and_says_what_it_is_not(done: Done) -> None:
    for one in done.pipeline.messages("pet-health-alerts"):
        alert = parse_alert(one.value())
        assert alert.verdict_origin == "statistical"
        assert alert.model is None
        assert "not veterinary advice" in alert.disclaimer


def test_offsets_are_committed_up_to_the_end_of_the_range(done: Done) -> None:
    assert done.pipeline.committed() == {0: 480, 1: 64}


def test_the_ledger_says_done_with_what_was_counted(done: Done) -> None:
    record = done.record
    assert (record.status, record.attempt) == ("done", 1)
    counts = {name: number for name, number in record.counts.items() if isinstance(number, int)}
    assert counts == {
        "messages": 544,
        "readings": 540,
        "rejects": 4,
        "erased": 0,
        "scored": 540,
        "late": 0,
        "repeated": 0,
        "episodes": 1,
        "alerts": len(alerts_on_topic(done.pipeline)),
    }
    assert record.counts["active"] == {"0": {"dog": 1}, "1": {"dog": 1}}
    assert done.pipeline.ledger.positions("pet-health-stream", record.range.epoch) == {
        0: 480,
        1: 64,
        2: 0,
        3: 0,
    }
    assert done.pipeline.ledger.leases("pet-health-stream", record.range.epoch) == []


def test_the_next_tick_plans_from_the_end(done: Done) -> None:
    (request,) = done.pipeline.tick().run_requests
    assert request.run_key.endswith("/0:480-492/1")


def test_every_check_of_the_stream_is_there_and_passed(done: Done) -> None:
    assert checks(done.result) == {
        "every_message_became_a_reading_or_a_reject": True,
        "dead_letter_share_is_small": True,
        "one_verdict_for_each_episode_and_severity": True,
        "notifications_were_delivered": True,
        "points_were_accepted": True,
    }


@pytest.mark.parametrize(
    "asset",
    [
        *("telemetry_batch", "anomaly_scores", "verdicts", "health_alerts", "notifications"),
        "pipeline_metrics",
    ],
)
def test_every_asset_says_which_offsets_it_is_of(done: Done, asset: str) -> None:
    told = metadata(done.result, asset)
    assert told["offset_range"] == [
        {"partition": 0, "start": 0, "end": 480},
        {"partition": 1, "start": 0, "end": 64},
    ]
    assert (told["offsets"], told["lane"], told["attempt"]) == (544, 0, 1)


def test_what_is_local_is_named_so_in_the_metadata(done: Done) -> None:
    told = metadata(done.result, "telemetry_batch")
    assert told["kafka"].startswith("local: embedded broker at 127.0.0.1:")
    assert told["datadog"].startswith("none: points are counted")
    assert told["model"].startswith("none: ")


def test_points_of_every_stage_were_sent_once(done: Done) -> None:
    told = metadata(done.result, "pipeline_metrics")
    assert (told["transport"], told["dropped"]) == ("none", 0)
    assert told["accepted"] == told["points"] > 0
    stages = {row["stage"] for row in told["stage_times"]}
    assert stages == {"ingest", "validate", "score", "explain", "publish"}
    tallies = done.pipeline.ledger.outcomes.tallies()
    assert tallies["kafka.messages.consumed"].last_value == 540
    assert tallies["kafka.messages.dead_lettered"].points == 4


def test_the_same_run_once_more_sends_nothing(done: Done) -> None:
    pipeline = done.pipeline
    topics = pipeline.settings.topics
    before = [pipeline.kafka.high_watermarks(topic) for topic in topics]
    kept = done.record, pipeline.ledger.outcomes.tallies(), pipeline.committed()
    assert failures(pipeline.run(done.tags)) == {}
    assert [pipeline.kafka.high_watermarks(topic) for topic in topics] == before
    assert (done.record, pipeline.ledger.outcomes.tallies(), pipeline.committed()) == kept


def test_points_of_a_range_cannot_be_sent_a_second_time(done: Done) -> None:
    assert not done.pipeline.ledger.claim_report(done.record, 0)


def test_a_large_share_of_dead_letters_fails_its_check_as_a_warning(pipeline: Pipeline) -> None:
    pipeline.send([reading("rex", second, 60) for second in range(0, 95, 5)])
    pipeline.send(NONSENSE[:1])
    assert checks(pipeline.step())["dead_letter_share_is_small"], "1 of 20 is 5 %"
    pipeline.send([*calm("rex", 1.5, since_min=2), NONSENSE[0]])
    result = pipeline.step()
    (found,) = [
        one
        for one in result.get_asset_check_evaluations()
        if one.check_name == "dead_letter_share_is_small"
    ]
    assert not found.passed, "1 of 19 is more"
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.metadata["share"].value == pytest.approx(1 / 19)
    assert result.success


def test_a_batch_of_nonsense_only_is_a_batch(pipeline: Pipeline) -> None:
    pipeline.send(NONSENSE)
    result = pipeline.step()
    assert failures(result) == {}
    assert metadata(result, "anomaly_scores")["dagster/row_count"] == 0
    assert len(pipeline.messages(pipeline.settings.dead_letter_topic)) == 4
    assert pipeline.committed() == {0: 4}
