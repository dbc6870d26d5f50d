from collections.abc import Sequence

import numpy as np
import pytest

from pettwin_pipeline.adapters.telemetry import SendReport
from pettwin_pipeline.metrics.points import Point, Recorder
from pettwin_pipeline_tests.adapters.http_intake import (
    CONSTANT,
    DISTRIBUTIONS,
    KEY,
    NOW_S,
    SECOND,
    SERIES,
    Answer,
    Intake,
    consumed,
    cpu,
    latencies,
    to,
)


def test_counts_and_gauges_are_series_of_version_2() -> None:
    with Intake() as intake:
        report = to(intake.address).send([consumed(20), cpu(12.5)], NOW_S)
    assert report == SendReport("http", accepted=2)
    assert intake.rows(SERIES) == [
        {
            "metric": "kafka.messages.consumed",
            "type": 1,
            "interval": 10,
            "points": [{"timestamp": SECOND, "value": 20.0}],
            "tags": ["consumer_group:g", "topic:t", *CONSTANT],
        },
        {
            "metric": "pipeline.process.cpu",
            "type": 3,
            "points": [{"timestamp": SECOND, "value": 12.5}],
            "tags": ["component:daemon", *CONSTANT],
        },
    ]


def test_distributions_are_points_of_version_1_each_value_as_often_as_it_stands_for() -> None:
    with Intake(Answer(body=b'{"status":"ok"}')) as intake:
        report = to(intake.address).send([latencies(1.5, rate=0.25), latencies(2.0, 3.0)], NOW_S)
    assert report == SendReport("http", accepted=2)
    assert intake.rows(DISTRIBUTIONS) == [
        {
            "metric": "kafka.produce.latency",
            "points": [[SECOND, [1.5, 1.5, 1.5, 1.5, 2.0, 3.0]]],
            "tags": ["topic:t", *CONSTANT],
        }
    ]


def test_bodies_are_deflated_json() -> None:
    with Intake() as intake:
        to(intake.address).send([consumed(1), latencies(1.0)], NOW_S)
    assert [one.path for one in intake.requests] == [SERIES, DISTRIBUTIONS]
    for one in intake.requests:
        assert one.headers["Content-Encoding"] == "deflate"
        assert one.headers["Content-Type"].endswith("/json")


def test_host_and_namespace_are_on_every_row() -> None:
    with Intake() as intake:
        transport = to(intake.address, host="lane-3", namespace="acme")
        transport.send([consumed(1), cpu(2.0), latencies(1.0)], NOW_S)
    for row in intake.rows(SERIES):
        assert row["metric"].startswith("acme.")
        assert row["resources"] == [{"type": "host", "name": "lane-3"}]
    assert [(row["metric"], row["host"]) for row in intake.rows(DISTRIBUTIONS)] == [
        ("acme.kafka.produce.latency", "lane-3")
    ]


def test_equal_series_of_a_sending_are_one_row() -> None:
    with Intake() as intake:
        points = [consumed(1), cpu(10.0), consumed(2), cpu(20.0), consumed(4, timestamp_s=SECOND)]
        assert to(intake.address).send(points, NOW_S).accepted == 5
    values = {row["metric"]: row["points"][0]["value"] for row in intake.rows(SERIES)}
    assert values == {"kafka.messages.consumed": 7.0, "pipeline.process.cpu": 20.0}


def test_two_sendings_in_one_second_do_not_overwrite_each_other() -> None:
    with Intake() as intake:
        first, second = to(intake.address, host="lane-0"), to(intake.address, host="lane-0")
        first.send([consumed(1)], NOW_S)
        first.send([consumed(2)], NOW_S)
        second.send([consumed(4)], NOW_S)  # another object, the same process
        second.send([consumed(8)], NOW_S + 10)
    assert intake.timestamps == [SECOND, SECOND + 1, SECOND + 2, SECOND + 10]


def test_another_host_may_use_the_same_second() -> None:
    with Intake() as intake:
        for host in ("lane-0", "lane-1"):
            to(intake.address, host=host).send([consumed(1)], NOW_S)
    assert intake.timestamps == [SECOND, SECOND]


def test_a_point_with_a_time_of_its_own_keeps_it() -> None:
    with Intake() as intake:
        to(intake.address).send([consumed(1, timestamp_s=SECOND - 60), consumed(2)], NOW_S)
    assert intake.timestamps == [SECOND - 60, SECOND]


def test_many_points_are_cut_into_payloads_that_the_intake_takes() -> None:
    points = [consumed(n, timestamp_s=n) for n in range(10_000)]
    with Intake() as intake:
        assert to(intake.address).send(points, NOW_S).accepted == 10_000
        assert len(intake.requests) > 2
        assert max(len(one.unpacked) for one in intake.requests) <= 512_000
        rows = intake.rows(SERIES)
    assert [row["points"][0]["value"] for row in rows] == list(map(float, range(10_000)))


def test_a_batch_of_two_hundred_thousand_readings_arrives_with_its_count() -> None:
    recorder = Recorder()
    values = np.random.default_rng(1).normal(80, 10, 200_000)
    recorder.distribution("pet.health.heart_rate", values, species="dog", size="small")
    points = recorder.drain()
    with Intake() as intake:
        assert to(intake.address).send(points, NOW_S).accepted == len(points)
        (row,) = intake.rows(DISTRIBUTIONS)
    arrived = row["points"][0][1]
    assert len(arrived) == 200_000
    assert (min(arrived), max(arrived)) == (values.min(), values.max())
    assert np.mean(arrived) == pytest.approx(values.mean(), abs=0.05)


def test_the_environment_changes_neither_key_nor_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DD_API_KEY": "another-key",
        "DD_APP_KEY": "an-application-key",
        "DD_SITE": "us3.datadoghq.com",
    }.items():
        monkeypatch.setenv(name, value)
    with Intake() as intake:
        assert to(intake.address).send([consumed(1)], NOW_S).accepted == 1
    (request,) = intake.requests
    assert request.headers["DD-API-KEY"] == KEY
    assert "another-key" not in request.headers.values()
    assert "an-application-key" not in request.headers.values()


@pytest.mark.parametrize("points", [[], [consumed(0)]])
def test_nothing_to_send_is_no_request_and_a_zero_is_one(points: Sequence[Point]) -> None:
    with Intake() as intake:
        assert to(intake.address).send(points, NOW_S) == SendReport("http", len(points))
    assert len(intake.requests) == len(points)
