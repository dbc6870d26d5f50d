import itertools
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pettwin_pipeline.adapters.dogstatsd import DogStatsdTransport
from pettwin_pipeline.adapters.telemetry import DogStatsdAddress, SendReport
from pettwin_pipeline.metrics.points import Point, Recorder
from pettwin_pipeline.readings.schema import SIGNALS, SIZES, SPECIES
from pettwin_pipeline_tests.metrics.datagrams import Line, Listener, check_line, texts

CONSTANT = ("env:test", "service:pettwin-pipeline", "version:1.2.3")
BEAT = Point("pipeline.heartbeat", "gauge", (1.0,), (("component", "sensor"),))
NOW_S = 1_700_000_000.0


@pytest.fixture
def udp() -> Iterator[Listener]:
    """A UDP socket that is read."""
    with Listener.udp() as listener:
        yield listener


def to(listener: Listener, namespace: str = "") -> DogStatsdTransport:
    return DogStatsdTransport(
        DogStatsdAddress(port=listener.port), constant_tags=CONSTANT, namespace=namespace
    )


def free_port() -> int:
    """A UDP port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def latencies(*values: float, rate: float = 1.0) -> Point:
    tags = (("topic", "t"),)
    return Point("kafka.produce.latency", "distribution", values, tags, sample_rate=rate)


def a_line_each(number: int) -> list[Point]:
    """Points that fill a datagram each: 200 values of at least six characters."""
    return [latencies(*(1000.25 + n for n in range(200))) for _ in range(number)]


def a_batch(cohorts: int) -> list[Point]:
    recorder = Recorder()
    dice = np.random.default_rng(7)
    every = itertools.product(SIGNALS, SPECIES, SIZES)
    for signal, species, size in itertools.islice(every, cohorts):
        values = dice.normal(80.0, 10.0, 5_000).round(2)
        recorder.distribution(f"pet.health.{signal}", values, species=species, size=size)
    return recorder.drain()


def test_each_kind_arrives_as_its_letter_with_all_its_tags(udp: Listener) -> None:
    recorder = Recorder()
    recorder.count("kafka.messages.consumed", 20, topic="t", consumer_group="g")
    recorder.gauge("pipeline.process.cpu", 12.5, component="daemon")
    recorder.distribution("kafka.produce.latency", [1.5, 2, 3.25], topic="t")
    assert to(udp).send(recorder.drain(), NOW_S) == SendReport("dogstatsd", accepted=3)
    assert udp.lines() == [
        Line(
            "kafka.messages.consumed",
            (20.0,),
            "c",
            1,
            ("consumer_group:g", "topic:t", *CONSTANT),
            None,
        ),
        Line("pipeline.process.cpu", (12.5,), "g", 1, ("component:daemon", *CONSTANT), None),
        Line("kafka.produce.latency", (1.5, 2.0, 3.25), "d", 1, ("topic:t", *CONSTANT), None),
    ]
    assert len(udp.datagrams) == 1


def test_the_values_of_a_distribution_share_a_line(udp: Listener) -> None:
    to(udp).send([latencies(1.0, 2.0, 3.0)], NOW_S)
    udp.lines()
    expected = f"kafka.produce.latency:1:2:3|d|#topic:t,{','.join(CONSTANT)}"
    assert [text.partition("|c:")[0] for text in texts(udp.datagrams)] == [expected]


def test_a_sample_rate_says_how_many_values_each_stands_for(udp: Listener) -> None:
    to(udp).send([latencies(1.0, 2.0, rate=0.25)], NOW_S)
    (line,) = udp.lines()
    assert (line.values, line.rate, line.weighted_values) == ((1.0, 2.0), 0.25, 8)


def test_large_and_small_numbers_read_back_as_they_were(udp: Listener) -> None:
    values = (0.1, 1e-9, 123456789.125, 1e15, 2.5e300, -3.0)
    to(udp).send([latencies(*values)], NOW_S)
    (line,) = udp.lines()
    assert line.values == values


def test_a_point_with_a_time_of_its_own_keeps_it(udp: Listener) -> None:
    timed = Point("pipeline.heartbeat", "gauge", (1.0,), (("component", "sensor"),), timestamp_s=99)
    report = to(udp).send([BEAT, timed, BEAT], NOW_S)
    assert report.accepted == 3
    assert [line.timestamp_s for line in udp.lines()] == [None, 99, None]


def test_a_namespace_is_put_before_every_name(udp: Listener) -> None:
    to(udp, namespace="acme").send([BEAT], NOW_S)
    (line,) = udp.lines()
    check_line(line, CONSTANT, namespace="acme.")


def test_no_datagram_is_larger_than_a_packet(udp: Listener) -> None:
    points = a_batch(20)
    to(udp).send(points, NOW_S)
    udp.lines()
    assert len(udp.datagrams) > 20
    assert max(map(len, udp.datagrams)) <= 1_432


def test_a_big_batch_loses_no_value_on_a_udp_socket_that_is_read(udp: Listener) -> None:
    points = a_batch(20)
    report = to(udp).send(points, NOW_S)
    assert report == SendReport("dogstatsd", accepted=len(points))
    assert measured(udp.lines()) == expected(points)


def test_a_big_batch_loses_no_value_on_a_unix_socket_that_is_read(tmp_path: Path) -> None:
    points = a_batch(60) * 5
    with Listener.unix(tmp_path / "dsd.socket") as listener:
        transport = DogStatsdTransport(
            DogStatsdAddress(socket_path=str(tmp_path / "dsd.socket")),
            constant_tags=CONSTANT,
            packet_timeout_s=10.0,  # however slow this machine reads
            deadline_s=60.0,
        )
        report = transport.send(points, NOW_S)
        assert report == SendReport("dogstatsd", accepted=len(points))
        assert measured(listener.lines()) == expected(points)
        assert max(map(len, listener.datagrams)) <= 8_192
        for line in listener.lines():
            check_line(line, CONSTANT)


def measured(lines: list[Line]) -> Counter[tuple[str, str, float]]:
    """How often each value arrived, by name and cohort."""
    counter: Counter[tuple[str, str, float]] = Counter()
    for line in lines:
        tags = line.tag_values
        for value in line.values:
            counter[line.name, tags["species"] + tags["size"], value] += int(1 / line.rate)
    return counter


def expected(points: list[Point]) -> Counter[tuple[str, str, float]]:
    counter: Counter[tuple[str, str, float]] = Counter()
    for point in points:
        tags = dict(point.tags)
        for value in point.values:
            counter[point.name, tags["species"] + tags["size"], value] += point.weight
    return counter


def test_where_nobody_listens_points_are_dropped_and_counted() -> None:
    transport = DogStatsdTransport(DogStatsdAddress(port=free_port()))
    points = a_line_each(20)
    report = transport.send(points, NOW_S)
    assert report == SendReport("dogstatsd", accepted=0, dropped=20, reason="socket")


def test_where_there_is_no_unix_socket_points_are_dropped_and_counted(tmp_path: Path) -> None:
    address = DogStatsdAddress(socket_path=str(tmp_path / "none"))
    report = DogStatsdTransport(address).send([BEAT, BEAT], NOW_S)
    assert report == SendReport("dogstatsd", accepted=0, dropped=2, reason="socket")


def test_a_host_that_has_no_address_drops_points_and_raises_nothing() -> None:
    report = DogStatsdTransport(DogStatsdAddress("no-such-host.invalid")).send([BEAT], NOW_S)
    assert report == SendReport("dogstatsd", accepted=0, dropped=1, reason="socket")


def test_a_unix_socket_that_nobody_reads_drops_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "full"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unread:
        unread.bind(str(path))
        address = DogStatsdAddress(socket_path=str(path))
        transport = DogStatsdTransport(address, packet_timeout_s=0.01)
        report = transport.send(a_line_each(5_000), NOW_S)
    assert report.reason == "socket"
    assert report.accepted > 0
    assert report.accepted + report.dropped == 5_000


def test_a_listener_that_comes_back_is_heard_again() -> None:
    port = free_port()
    transport = DogStatsdTransport(DogStatsdAddress(port=port), constant_tags=CONSTANT)
    assert transport.send([BEAT], NOW_S).dropped == 1
    with Listener(socket.AF_INET, ("127.0.0.1", port)) as listener:
        assert transport.send([BEAT], NOW_S).accepted == 1
        assert len(listener.lines()) == 1


def test_what_is_not_sent_by_the_deadline_is_dropped(udp: Listener) -> None:
    clock = itertools.count()  # a second at each look: at the start, then before each point
    transport = DogStatsdTransport(
        DogStatsdAddress(port=udp.port), deadline_s=4.0, monotonic=lambda: float(next(clock))
    )
    report = transport.send([BEAT] * 10, NOW_S)
    assert report == SendReport("dogstatsd", accepted=3, dropped=7, reason="deadline")
    assert len(udp.lines()) == 3


def test_the_environment_adds_no_tag_and_takes_no_address(
    udp: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "DD_ENV": "other",
        "DD_SERVICE": "other",
        "DD_VERSION": "9",
        "DATADOG_TAGS": "pet:rex,owner:me",
        "DD_AGENT_HOST": "no-such-host.invalid",
        "DD_DOGSTATSD_PORT": "9",
        "DD_DOGSTATSD_URL": "udp://no-such-host.invalid:9",
    }.items():
        monkeypatch.setenv(name, value)
    assert to(udp).send([BEAT], NOW_S).accepted == 1
    (line,) = udp.lines()
    assert line.tags == ("component:sensor", *CONSTANT)


def test_the_client_sends_no_telemetry_of_its_own(udp: Listener) -> None:
    transport = to(udp)
    for _ in range(3):
        transport.send(a_batch(5), NOW_S)
    assert {line.name for line in udp.lines()} == {"pet.health.heart_rate"}


def test_a_client_that_is_switched_off_drops_and_says_so(
    udp: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_DOGSTATSD_DISABLE", "true")
    report = to(udp).send([BEAT, BEAT], NOW_S)
    assert report == SendReport("dogstatsd", accepted=0, dropped=2, reason="disabled")
    assert udp.lines() == []
