"""What the pipeline says of itself on a clock, through a real socket."""

from collections.abc import Iterator

import pytest

from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
)
from pettwin_pipeline_tests.metrics.datagrams import Line, Listener, check_line

pytestmark = DAGSTERS_OWN

CONSTANT = ("env:dev", "service:pettwin-pipeline", "version:test")


@pytest.fixture
def agent(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Takes what the pipeline sends from now on."""
    with Listener.udp() as listener:
        monkeypatch.setenv("DD_AGENT_HOST", "127.0.0.1")
        monkeypatch.setenv("DD_DOGSTATSD_PORT", str(listener.port))
        monkeypatch.setenv("DD_VERSION", "test")
        yield listener


def by_tag(lines: list[Line], name: str, tag: str) -> dict[str, float]:
    """Values of a metric by one of its tags."""
    return {one.tag_values[tag]: one.values[0] for one in lines if one.name == name}


def runs(lines: list[Line]) -> list[tuple[str, str, float]]:
    found = [one for one in lines if one.name == "dagster.runs"]
    return [(one.tag_values["job"], one.tag_values["status"], one.values[0]) for one in found]


def test_lag_lanes_and_life_signs_are_told_before_anything_was_read(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.send(calm("rex", 1), partition=2)
    tick = pipeline.tick("pipeline_state")
    assert tick.run_requests == []
    assert tick.skip_message.startswith("lag 12; ")
    lines = agent.lines()
    assert by_tag(lines, "kafka.consumer.lag", "partition") == {"0": 0, "1": 0, "2": 12, "3": 0}
    assert by_tag(lines, "pipeline.lane.parked", "lane") == {"0": 0}
    assert by_tag(lines, "pipeline.heartbeat", "component") == {"sensor": 1}
    assert set(by_tag(lines, "pipeline.process.memory", "component")) == {"sensor"}
    assert by_tag(lines, "dagster.asset.freshness", "asset") == {}
    assert runs(lines) == []


def test_after_a_run_freshness_and_active_pets_are_told(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.send(calm("rex", 1), partition=0)
    pipeline.send(calm("bo", 1), partition=1)
    assert pipeline.step().success
    pipeline.tick("pipeline_state")
    lines = agent.lines()
    freshness = by_tag(lines, "dagster.asset.freshness", "asset")
    assert set(freshness) == {
        "telemetry_batch",
        "anomaly_scores",
        "verdicts",
        "health_alerts",
        "notifications",
        "pipeline_metrics",
    }
    ratios = by_tag(lines, "dagster.asset.freshness_ratio", "asset")
    assert ratios == {name: pytest.approx(age / 900) for name, age in freshness.items()}
    assert by_tag(lines, "pet.health.active_pets", "species") == {"dog": 2}
    assert by_tag(lines, "kafka.consumer.lag", "partition")["0"] == 0
    for line in lines:
        check_line(line, CONSTANT)


def test_a_held_lane_says_for_how_long(pipeline: Pipeline, agent: Listener) -> None:
    pipeline.send(calm("rex", 1))
    pipeline.tick()
    record = pipeline.record()
    pipeline.ledger.begin(record, 1, "run-1", record.requested_s, 600)
    pipeline.let_pass(100)
    pipeline.tick("pipeline_state")
    (age_s,) = by_tag(agent.lines(), "pipeline.lane.lease_age", "lane").values()
    assert 100 <= age_s < 160


def test_each_ended_run_is_counted_once(pipeline: Pipeline, agent: Listener) -> None:
    before = pipeline.tick("pipeline_state").cursor
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    assert not pipeline.run().success, "there is nothing more to read"
    first = pipeline.tick("pipeline_state", before).cursor
    second = pipeline.tick("pipeline_state", first).cursor
    pipeline.send(calm("rex", 1, since_min=1))
    assert pipeline.step().success
    pipeline.tick("pipeline_state", second)
    assert sorted(runs(agent.lines())) == [
        ("stream_job", "failure", 1),
        ("stream_job", "success", 1),
        ("stream_job", "success", 1),
    ]


def test_runs_that_ended_before_the_first_look_are_not_counted(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    cursor = pipeline.tick("pipeline_state").cursor
    pipeline.tick("pipeline_state", cursor)
    assert runs(agent.lines()) == []


def test_the_points_of_a_batch_arrive_once_and_as_the_catalogue_declares_them(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.send(calm("rex", 1))
    (request,) = pipeline.tick().run_requests
    assert pipeline.run(request.tags).success
    assert pipeline.run(request.tags).success, "a replay, which sends nothing"
    lines = agent.lines()
    consumed = [one.values for one in lines if one.name == "kafka.messages.consumed"]
    assert consumed == [(12.0,)]
    stages = {
        one.tag_values["stage"]
        for one in lines
        if one.name == "pipeline.stage.latency" and one.tag_values["outcome"] == "success"
    }
    assert stages == {"ingest", "validate", "score", "explain", "publish"}
    for line in lines:
        check_line(line, CONSTANT)


def test_without_a_broker_the_life_signs_are_sent_all_the_same(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.settings.state.remove_stack()
    pipeline.tick("pipeline_state")
    assert by_tag(agent.lines(), "pipeline.heartbeat", "component") == {"sensor": 1}


def test_while_the_broker_does_not_answer_the_life_signs_are_sent_all_the_same(
    pipeline: Pipeline, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "0.3")
    with pytest.raises(Exception, match="does not answer"):
        pipeline.tick("pipeline_state")
    assert by_tag(agent.lines(), "pipeline.heartbeat", "component") == {"sensor": 1}


def test_while_the_broker_does_not_answer_runs_are_counted_once_too(
    pipeline: Pipeline, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor = pipeline.tick("pipeline_state").cursor
    pipeline.send(calm("rex", 1))
    assert pipeline.step().success
    with monkeypatch.context() as away:
        away.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        away.setenv("KAFKA_TIMEOUT_S", "0.3")
        with pytest.raises(Exception, match="does not answer"):
            pipeline.tick("pipeline_state", cursor)
    pipeline.tick("pipeline_state", cursor)
    assert runs(agent.lines()) == [("stream_job", "success", 1)]


def test_points_of_a_run_that_died_before_it_sent_them_are_counted_as_dropped_once(
    pipeline: Pipeline, agent: Listener
) -> None:
    pipeline.send(calm("rex", 1))
    (request,) = pipeline.tick().run_requests
    stages = ("telemetry_batch", "anomaly_scores", "verdicts", "health_alerts")
    pipeline.run(request.tags, stages)
    assert (pipeline.record().status, pipeline.record().reported_s) == ("done", None)
    pipeline.tick("pipeline_state")  # too early to tell
    pipeline.let_pass(301)
    for _ in range(2):
        pipeline.tick("pipeline_state")
    dropped = [
        one.values[0]
        for one in agent.lines()
        if one.name == "telemetry.points" and one.tag_values["outcome"] == "dropped"
    ]
    assert len(dropped) == 1
    assert dropped[0] > 5


def test_points_that_were_dropped_while_nobody_listened_are_told_once_somebody_does(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = free_port()
    monkeypatch.setenv("DD_AGENT_HOST", "127.0.0.1")
    monkeypatch.setenv("DD_DOGSTATSD_PORT", str(silent))
    for _ in range(2):
        pipeline.tick("pipeline_state")
    with Listener.udp() as listener:
        monkeypatch.setenv("DD_DOGSTATSD_PORT", str(listener.port))
        for _ in range(2):
            pipeline.tick("pipeline_state")
        lines = listener.lines()
    told = [one for one in lines if one.name == "telemetry.points"]
    dropped = [one.values[0] for one in told if one.tag_values["outcome"] == "dropped"]
    assert len(dropped) == 1, "told once"
    assert dropped[0] > 5, "of both ticks"
