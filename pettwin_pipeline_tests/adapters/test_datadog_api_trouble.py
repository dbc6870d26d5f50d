import itertools
import logging
import socket

import pytest
from pydantic import SecretStr

from pettwin_pipeline.adapters.datadog_api import DatadogApiTransport, Limits
from pettwin_pipeline.adapters.telemetry import SendReport
from pettwin_pipeline_tests.adapters.http_intake import (
    DISTRIBUTIONS,
    KEY,
    NOW_S,
    SECOND,
    SERIES,
    Answer,
    Clock,
    Intake,
    consumed,
    cpu,
    latencies,
    to,
)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (302, "refused"),
        (400, "refused"),
        (401, "auth"),
        (403, "auth"),
        (404, "refused"),
        (408, "timeout"),
        (413, "too_large"),
    ],
)
def test_an_answer_that_will_not_change_is_a_reason_and_is_not_asked_again(
    status: int, reason: str
) -> None:
    with Intake(Answer(status, headers={"Location": "/elsewhere"})) as intake:
        report = to(intake.address).send([consumed(1), cpu(1.0)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=2, reason=reason)
    assert len(intake.requests) == 1


def test_an_accepted_payload_with_errors_is_refused() -> None:
    with Intake(Answer(202, b'{"errors":["no"]}')) as intake:
        report = to(intake.address).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="refused")


@pytest.mark.parametrize("body", [b"", b"<html>fine</html>", b"\xff\xfe", b"[]", b"null"])
def test_whatever_the_body_of_an_answer_nothing_is_raised(body: bytes) -> None:
    with Intake(Answer(202, body), Answer(202, body)) as intake:
        report = to(intake.address).send([consumed(1), latencies(1.0)], NOW_S)
    assert report.accepted + report.dropped == 2


def test_a_rate_limit_is_waited_for_as_long_as_it_says() -> None:
    clock = Clock()
    limited = Answer(429, headers={"X-RateLimit-Reset": "3"})
    with Intake(limited, limited) as intake:
        report = to(intake.address, clock).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=1)
    assert clock.waits == [3.0, 3.0]


def test_a_rate_limit_that_takes_longer_than_a_sending_may_is_a_reason() -> None:
    clock = Clock()
    with Intake(Answer(429, headers={"X-RateLimit-Reset": "15"})) as intake:
        report = to(intake.address, clock).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="rate_limited")
    assert clock.waits == []


def test_a_rate_limit_that_says_nothing_is_waited_for_like_an_error() -> None:
    clock = Clock()
    with Intake(Answer(429), Answer(429, headers={"X-RateLimit-Reset": "soon"})) as intake:
        report = to(intake.address, clock).send([consumed(1)], NOW_S)
    assert report.accepted == 1
    assert clock.waits == [0.5, 1.0]


def test_a_server_error_is_tried_again_with_growing_waits() -> None:
    clock = Clock()
    with Intake(Answer(500), Answer(503)) as intake:
        report = to(intake.address, clock).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=1)
    assert clock.waits == [0.5, 1.0]
    assert intake.timestamps == [SECOND] * 3  # the same point: it cannot count twice


def test_retries_are_bounded() -> None:
    clock = Clock()
    with Intake(to={SERIES: Answer(500)}) as intake:
        report = to(intake.address, clock).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="server_error")
    assert len(intake.requests) == 4
    assert clock.waits == [0.5, 1.0, 2.0]


def test_what_is_not_sent_by_the_deadline_is_dropped() -> None:
    clock = itertools.count()  # a second at each look: one before a request, one after it
    limits = Limits(deadline_s=4.0)
    with Intake() as intake:
        transport = DatadogApiTransport(
            SecretStr(KEY), address=intake.address, limits=limits, monotonic=lambda: next(clock)
        )
        many = [consumed(n, timestamp_s=n) for n in range(10_000)]
        report = transport.send(many, NOW_S)
        rows = len(intake.rows(SERIES))
    assert report == SendReport("http", accepted=rows, dropped=10_000 - rows, reason="deadline")
    assert len(intake.requests) == 2


def test_a_server_that_hangs_is_given_up_on_and_not_asked_again() -> None:
    with Intake(Answer(hangs=True)) as intake:
        report = to(intake.address, limits=Limits(timeout_s=0.5)).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="timeout")
    assert len(intake.requests) == 1


def test_a_connection_that_is_cut_off_is_a_reason_and_not_tried_again() -> None:
    with Intake(Answer(cuts=True)) as intake:
        report = to(intake.address).send([consumed(1), latencies(1.0)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=2, reason="unreachable")
    assert len(intake.requests) == 1


def test_an_address_where_nobody_listens_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    report = to(f"http://127.0.0.1:{port}").send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="unreachable")


def test_a_wrong_key_ends_the_sending_at_once() -> None:
    with Intake(to={SERIES: Answer(403), DISTRIBUTIONS: Answer(403)}) as intake:
        report = to(intake.address).send([consumed(1), latencies(1.0)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=2, reason="auth")
    assert [one.path for one in intake.requests] == [SERIES]


def test_a_payload_that_is_refused_does_not_take_the_others_with_it() -> None:
    with Intake(to={SERIES: Answer(400)}) as intake:
        report = to(intake.address).send([consumed(1), cpu(1.0), latencies(1.0)], NOW_S)
    assert report == SendReport("http", accepted=1, dropped=2, reason="refused")
    assert len(intake.requests) == 2


@pytest.mark.parametrize("key", [KEY, f"{KEY}\n", f" {KEY}\r\n"])
def test_the_key_is_in_its_header_and_nowhere_else(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    answers = (Answer(500), Answer(202), Answer(403, b'{"errors":["Forbidden"]}'))
    with Intake(*answers) as intake:
        transport = to(intake.address, key=key)
        for logger in ("", "datadog_api_client", "urllib3"):  # the client has them quiet
            caplog.set_level(logging.DEBUG, logger)
        report = transport.send([consumed(1), latencies(1.0)], NOW_S)
    assert report.reason == "auth"
    for one in intake.requests:
        assert [name for name, value in one.headers.items() if KEY in value] == ["DD-API-KEY"]
        assert one.headers["DD-API-KEY"] == KEY
        assert KEY not in one.path
        assert KEY.encode() not in one.unpacked
    assert caplog.records
    assert KEY not in caplog.text
    assert KEY not in repr(transport)
    assert KEY not in repr(report)


@pytest.mark.parametrize("key", ["0123\n4567", "schlüssel-€"])
def test_a_key_that_no_header_can_carry_is_a_reason(key: str) -> None:
    with Intake() as intake:
        report = to(intake.address, key=key).send([consumed(1)], NOW_S)
    assert report == SendReport("http", accepted=0, dropped=1, reason="refused")
    assert intake.requests == []
