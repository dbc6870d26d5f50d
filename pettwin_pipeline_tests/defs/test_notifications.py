"""From an alert to its owner: told at least once, whoever dies, and by nobody twice on purpose."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pettwin_pipeline.adapters.ledger_outbox import CLAIM_S, Outbox
from pettwin_pipeline.stack.ports import free_port
from pettwin_pipeline_tests.adapters.http_intake import Answer, Intake
from pettwin_pipeline_tests.adapters.test_webhook import receivers_check
from pettwin_pipeline_tests.defs.pipeline import (
    DAGSTERS_OWN,
    Pipeline,
    calm,
    checks,
    failures,
    metadata,
    racing,
    reading,
)
from pettwin_pipeline_tests.metrics.datagrams import Line, Listener, check_line

pytestmark = DAGSTERS_OWN

SECRET = "s3cret-signature"  # noqa: S105


@pytest.fixture
def hooked(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Intake]:
    """A receiver that takes everything; the pipeline knows it."""
    with Intake() as intake:
        point_at(monkeypatch, intake.address)
        yield intake


def point_at(patch: pytest.MonkeyPatch, server: str) -> None:
    """The pipeline posts to this server from now on."""
    patch.setenv("PETTWIN_WEBHOOK_URL", f"{server}/s3cret-place")
    patch.setenv("PETTWIN_WEBHOOK_SECRET", SECRET)


def send(pipeline: Pipeline) -> None:
    """Rex falls ill."""
    pipeline.send([*calm("rex", 30), *racing("rex", 10, since_min=30)])


def published(pipeline: Pipeline, *severities: str) -> list[str]:
    """Ids on the alerts topic, of these severities, sorted."""
    alerts = [json.loads(one.value()) for one in pipeline.messages("pet-health-alerts")]
    return sorted(one["alert_id"] for one in alerts if one["severity"] in severities)


TOLD = ("medium", "high", "critical")


def posted(intake: Intake) -> list[str]:
    """Ids that were posted, sorted."""
    return sorted(one.headers["Idempotency-Key"] for one in intake.requests)


def written(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The file of notifications."""
    path = pipeline.settings.state.root / "notifications.ndjson"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def file_ids(pipeline: Pipeline) -> list[str]:
    return sorted(one["notification_id"] for one in written(pipeline))


def waiting(pipeline: Pipeline) -> dict[str, int]:
    return {name: one.waiting for name, one in pipeline.ledger.outbox.backlog().items()}


def tick(pipeline: Pipeline) -> str:
    """What the sensor says."""
    told = pipeline.tick("unsent_notifications")
    assert told.run_requests == []
    return str(told.skip_message)


def test_the_owner_is_told_once_by_each_channel_with_the_id_of_the_alert(
    pipeline: Pipeline, hooked: Intake
) -> None:
    send(pipeline)
    result = pipeline.step()
    assert failures(result) == {}
    wanted = published(pipeline, *TOLD)
    assert wanted
    assert posted(hooked) == file_ids(pipeline) == wanted
    on_topic = {
        one["alert_id"]: one
        for one in (json.loads(m.value()) for m in pipeline.messages("pet-health-alerts"))
    }
    for request in hooked.requests:
        alert_id = request.headers["Idempotency-Key"]
        ours = {"notification_id": alert_id, "env": "dev", "service": "pettwin-pipeline"}
        assert json.loads(request.unpacked) == ours | on_topic[alert_id]
        assert receivers_check()(request.headers, request.unpacked, SECRET)
    told = metadata(result, "notifications")
    assert (told["delivered"], told["failed"], told["given_up"]) == (2 * len(wanted), 0, 0)
    assert checks(result)["notifications_were_delivered"]


@pytest.mark.parametrize("least", ["low", "medium", "critical"])
def test_alerts_below_the_least_severity_are_recorded_and_told_nobody(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, least: str
) -> None:
    monkeypatch.setenv("PETTWIN_NOTIFY_FROM", least)
    send(pipeline)
    for pet, bpm in (("mild", 75), ("worse", 100)):
        ill = [reading(pet, second, bpm + second // 5 % 5 - 2) for second in range(1800, 2400, 5)]
        pipeline.send([*calm(pet, 30), *ill], partition=1)
    assert pipeline.step().success
    order = ("low", *TOLD)
    assert file_ids(pipeline) == published(pipeline, *order[order.index(least) :])
    assert published(pipeline, "low"), "there is something to leave out"
    assert published(pipeline, *TOLD)


def test_while_the_receiver_is_down_the_run_succeeds_and_the_sensor_delivers_later(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    point_at(monkeypatch, f"http://127.0.0.1:{port}")
    send(pipeline)
    result = pipeline.step()
    assert failures(result) == {}
    wanted = published(pipeline, *TOLD)
    assert waiting(pipeline) == {"file": 0, "webhook": len(wanted)}
    (found,) = [
        one
        for one in result.get_asset_check_evaluations()
        if one.check_name == "notifications_were_delivered"
    ]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    table = {row["channel"]: row for row in metadata(result, "notifications")["channels"]}
    assert table["webhook"]["waiting"] == len(wanted)
    assert f"127.0.0.1:{port}: nobody answers there" in table["webhook"]["error"]
    with Intake() as intake:
        point_at(monkeypatch, intake.address)
        pipeline.let_pass(5)
        assert tick(pipeline) == f"{len(wanted)} delivered, 0 failed"
        assert tick(pipeline) == "nothing due"
        assert posted(intake) == wanted
    assert waiting(pipeline) == {"file": 0, "webhook": 0}


def test_the_next_run_delivers_what_the_last_one_could_not(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    send(pipeline)
    assert pipeline.step().success
    pipeline.let_pass(5)
    pipeline.send(calm("bo", 1))
    with Intake() as intake:
        point_at(monkeypatch, intake.address)
        result = pipeline.step()
        assert posted(intake) == published(pipeline, *TOLD)
    assert checks(result)["notifications_were_delivered"]


class KilledError(BaseException):
    """Nobody catches it, as nobody catches kill -9."""


@pytest.mark.parametrize(("when", "times"), [("after it was posted", 2), ("before it was", 1)])
def test_a_deliverer_that_is_killed_is_taken_over_with_the_same_id(
    pipeline: Pipeline, hooked: Intake, monkeypatch: pytest.MonkeyPatch, when: str, times: int
) -> None:
    monkeypatch.setenv("PETTWIN_NOTIFY_FILE", "none")
    send(pipeline)
    with monkeypatch.context() as deadly, suppress(KilledError):
        kill(deadly, when)
        pipeline.step()
    wanted = published(pipeline, *TOLD)
    assert len(posted(hooked)) == times - 1
    assert waiting(pipeline) == {"webhook": len(wanted)}
    tick(pipeline)
    assert waiting(pipeline) == {"webhook": 1}, "the one that was claimed is left alone"
    pipeline.let_pass(CLAIM_S)
    tick(pipeline)
    assert waiting(pipeline) == {"webhook": 0}
    assert set(posted(hooked)) == set(wanted)
    assert len(posted(hooked)) == len(wanted) + times - 1


def kill(patch: pytest.MonkeyPatch, when: str) -> None:
    """The first deliverer ends there."""
    if when == "after it was posted":

        def dies(*_: object) -> None:
            raise KilledError

        patch.setattr(Outbox, "delivered", dies)
        return
    claim = Outbox.claim

    def claims_and_dies(outbox: Outbox, channel: str, now_s: float) -> None:
        claim(outbox, channel, now_s)
        raise KilledError

    patch.setattr(Outbox, "claim", claims_and_dies)


def test_the_same_run_and_the_same_range_once_more_tell_nobody(
    pipeline: Pipeline, hooked: Intake
) -> None:
    send(pipeline)
    (request,) = pipeline.tick().run_requests
    assert pipeline.run(request.tags).success
    once = posted(hooked), written(pipeline)
    assert pipeline.run(request.tags).success
    again = pipeline.run(request.tags, ["notifications"])
    assert metadata(again, "notifications")["delivered"] == 0
    assert tick(pipeline) == "nothing due"
    assert (posted(hooked), written(pipeline)) == once


def test_a_retry_after_the_alerts_left_tells_once(
    pipeline: Pipeline, hooked: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pettwin_pipeline.adapters.ledger import Ledger

    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    send(pipeline)
    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "finish", full)
        assert list(failures(pipeline.step())) == ["health_alerts"]
    assert posted(hooked) == []
    pipeline.let_pass(5)
    assert pipeline.step().success
    assert posted(hooked) == file_ids(pipeline) == sorted(set(published(pipeline, *TOLD)))


def test_readings_that_say_the_same_again_tell_nobody_twice(
    pipeline: Pipeline, hooked: Intake
) -> None:
    for _ in range(2):
        send(pipeline)
        assert pipeline.step().success
    wanted = published(pipeline, *TOLD)
    assert posted(hooked) == wanted


def test_a_channel_that_is_turned_on_later_tells_nothing_old(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(pipeline)
    assert pipeline.step().success
    with Intake() as intake:
        point_at(monkeypatch, intake.address)
        assert tick(pipeline) == "nothing due"
        assert intake.requests == []


def test_without_channels_nothing_waits(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_NOTIFY_FILE", "none")
    send(pipeline)
    result = pipeline.step()
    assert checks(result)["notifications_were_delivered"]
    assert waiting(pipeline) == {}
    assert written(pipeline) == []


def test_a_full_disk_fails_no_run(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PETTWIN_NOTIFY_FILE", "/dev/full")
    send(pipeline)
    result = pipeline.step()
    assert failures(result) == {}
    assert not checks(result)["notifications_were_delivered"]
    monkeypatch.setenv("PETTWIN_NOTIFY_FILE", "")
    pipeline.let_pass(5)
    tick(pipeline)
    assert file_ids(pipeline) == published(pipeline, *TOLD)


def test_the_sensor_says_why_somebody_still_waits(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Intake(*[Answer(400, b"no such field")] * 9) as intake:
        point_at(monkeypatch, intake.address)
        send(pipeline)
        assert pipeline.step().success
        pipeline.let_pass(5)
        number = waiting(pipeline)["webhook"]
        where = intake.address.removeprefix("http://")
        assert tick(pipeline) == (
            f"0 delivered, {number} failed; {number} wait for the webhook "
            f"({where} answered 400: no such field)"
        )


def test_no_secret_of_the_webhook_is_left_anywhere(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    send(pipeline)
    result = pipeline.step()
    assert waiting(pipeline)["webhook"] > 0
    log = "\n".join(map(dg.serialize_value, pipeline.instance.all_logs(result.run_id)))
    assert "nobody answers there" in log
    assert "s3cret" not in log
    files = [path for path in Path(pipeline.settings.state.root).rglob("*") if path.is_file()]
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []


@pytest.fixture
def agent(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Takes what the pipeline sends from now on."""
    with Listener.udp() as listener:
        monkeypatch.setenv("DD_AGENT_HOST", "127.0.0.1")
        monkeypatch.setenv("DD_DOGSTATSD_PORT", str(listener.port))
        monkeypatch.setenv("DD_VERSION", "test")
        yield listener


def sums(lines: list[Line], name: str) -> dict[tuple[str, str], float]:
    """Sums of a count by channel and outcome."""
    found: dict[tuple[str, str], float] = {}
    for one in lines:
        if one.name == name:
            key = one.tag_values["channel"], one.tag_values["outcome"]
            found[key] = found.get(key, 0) + sum(one.values)
    return found


def test_attempts_and_response_times_are_told_as_the_catalogue_declares_them(
    pipeline: Pipeline, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Intake(Answer(503)) as intake:
        point_at(monkeypatch, intake.address)
        send(pipeline)
        assert pipeline.step().success
        wanted = len(published(pipeline, *TOLD))
        pipeline.let_pass(5)
        tick(pipeline)
    lines = agent.lines()
    sent = sums(lines, "pet.health.alerts.sent")
    everything = len(pipeline.messages("pet-health-alerts"))
    assert sent == {
        ("topic", "delivered"): everything,
        ("file", "delivered"): wanted,
        ("webhook", "delivered"): wanted,
        ("webhook", "failed"): 1,
    }
    times = [one for one in lines if one.name == "pipeline.http.latency"]
    assert {one.tag_values["peer"] for one in times} == {"webhook"}
    outcomes = [one.tag_values["outcome"] for one in times for _ in one.values]
    assert sorted(outcomes) == ["failed", *["success"] * wanted]
    results = [
        (one.tag_values["check"], one.tag_values["outcome"])
        for one in lines
        if one.name == "dagster.asset.checks"
    ]
    assert ("notifications_were_delivered", "failed") in results
    for line in lines:
        check_line(line, ("env:dev", "service:pettwin-pipeline", "version:test"))


def test_the_backlog_is_told_on_the_clock_also_without_a_broker(
    pipeline: Pipeline, agent: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(monkeypatch, f"http://127.0.0.1:{free_port()}")
    send(pipeline)
    assert pipeline.step().success
    wanted = len(published(pipeline, *TOLD))
    pipeline.settings.state.remove_stack()
    pipeline.tick("pipeline_state")
    told = {
        one.tag_values["channel"]: one.values
        for one in agent.lines()
        if one.name == "pipeline.outbox.backlog"
    }
    assert told == {"file": (0.0,), "webhook": (float(wanted),)}
