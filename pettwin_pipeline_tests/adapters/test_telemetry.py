import subprocess
import sys
from collections.abc import Mapping, Sequence

import pytest

from pettwin_pipeline.adapters.telemetry import (
    DROP_REASONS,
    CountedTransport,
    DogStatsdAddress,
    ReportingTransport,
    SendReport,
    Tally,
    TransportName,
    dogstatsd_address,
    make_transport,
    report_of,
)
from pettwin_pipeline.errors import SettingsError
from pettwin_pipeline.metrics.points import Point, Recorder
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.adapters.http_intake import DISTRIBUTIONS, SERIES, Answer, Intake, to
from pettwin_pipeline_tests.metrics.datagrams import Listener

NOW_S = 1_700_000_000.0


class Lossy:
    """A transport that loses as many points of each sending as it is told, and keeps the rest."""

    name: TransportName = "dogstatsd"

    def __init__(self, *losses: int) -> None:
        self._losses = list(losses)
        self.kept: list[Point] = []

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Keep what is not lost."""
        del now_s
        lost = min(self._losses.pop(0), len(points)) if self._losses else 0
        self.kept += points[lost:]
        return report_of(self.name, len(points), {"socket": lost})

    @property
    def reported(self) -> dict[str, float]:
        """What telemetry.points said in all, by outcome."""
        return sums(self.kept)


def sums(points: Sequence[Point]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for point in points:
        if point.name == "telemetry.points":
            outcome = dict(point.tags)["outcome"]
            totals[outcome] = totals.get(outcome, 0) + point.values[0]
    return totals


def beats(number: int) -> list[Point]:
    return [Point("pipeline.heartbeat", "gauge", (1.0,), (("component", "sensor"),))] * number


def settings(**environ: str) -> Settings:
    return Settings.load(environ)


def test_every_point_is_accounted_for_in_one_report() -> None:
    inner = Lossy(2)
    report = ReportingTransport(inner).send(beats(5), NOW_S)
    assert report == SendReport("dogstatsd", accepted=3, dropped=2, reason="socket")
    assert inner.reported == {"accepted": 3.0, "dropped": 2.0}
    assert {dict(point.tags)["transport"] for point in inner.kept[3:]} == {"dogstatsd"}


def test_reports_breed_no_reports() -> None:
    inner = Lossy()
    transport = ReportingTransport(inner)
    for _ in range(4):
        transport.send(beats(2), NOW_S)
    assert inner.reported == {"accepted": 8.0}
    assert len(inner.kept) == 4 * (2 + 1)
    assert transport.unreported() == []


def test_nothing_sent_is_nothing_reported() -> None:
    inner = Lossy()
    assert ReportingTransport(inner).send([], NOW_S) == SendReport("dogstatsd", accepted=0)
    assert inner.kept == []


def test_what_was_lost_whole_is_reported_with_the_next_sending() -> None:
    inner = Lossy(3)
    transport = ReportingTransport(inner)
    transport.send(beats(3), NOW_S)
    assert inner.kept == []
    assert sums(transport.unreported()) == {"dropped": 3.0}
    transport.send(beats(1), NOW_S)
    assert inner.reported == {"accepted": 1.0, "dropped": 3.0}
    assert transport.unreported() == []


def test_a_report_that_is_lost_itself_is_part_of_the_next() -> None:
    inner = Lossy(0, 1)
    transport = ReportingTransport(inner)
    transport.send(beats(2), NOW_S)
    assert inner.reported == {}
    transport.send(beats(3), NOW_S)
    assert inner.reported == {"accepted": 5.0}


def test_the_time_of_each_request_is_reported_by_its_outcome() -> None:
    with Intake(Answer(500)) as intake:
        ReportingTransport(to(intake.address)).send(beats(1), NOW_S)
        rows = intake.rows(DISTRIBUTIONS)
    assert {row["metric"] for row in rows} == {"pipeline.http.latency"}
    assert {tag for row in rows for tag in row["tags"]} >= {"peer:datadog"}
    told = {tag: len(row["points"][0][1]) for row in rows for tag in row["tags"]}
    assert (told["outcome:failed"], told["outcome:success"]) == (1, 1)


def test_a_report_names_the_reason_of_most_losses() -> None:
    assert report_of("http", 10, {"timeout": 2, "auth": 5}) == SendReport("http", 3, 7, "auth")
    assert report_of("http", 4, {"b": 1, "a": 1}) == SendReport("http", 2, 2, "a")
    assert report_of("http", 4, {"a": 0}) == SendReport("http", 4)


def test_every_reason_is_explained() -> None:
    assert all(text and text == text.strip() for text in DROP_REASONS.values())


def test_with_no_datadog_points_are_counted_by_name() -> None:
    seen: list[Mapping[str, Tally]] = []
    recorder = Recorder()
    recorder.count("kafka.messages.consumed", 7, topic="t", consumer_group="g")
    recorder.count("kafka.messages.consumed", 5, topic="u", consumer_group="g")
    recorder.gauge("pipeline.process.cpu", 12.5, component="daemon")
    points = recorder.drain()
    points.append(
        Point("kafka.produce.latency", "distribution", (1.0, 3.0), (("topic", "t"),), 0.5)
    )
    points.append(Point("kafka.produce.latency", "distribution", (10.0,), (("topic", "t"),)))
    assert CountedTransport(seen.append).send(points, NOW_S) == SendReport("none", accepted=5)
    assert seen == [
        {
            "kafka.messages.consumed": Tally(2, 12.0, NOW_S),
            "pipeline.process.cpu": Tally(1, 12.5, NOW_S),
            "kafka.produce.latency": Tally(2, 3.6, NOW_S),  # (2 * 1 + 2 * 3 + 10) / 5
        }
    ]


def test_with_no_datadog_the_settings_choose_counting_and_say_so() -> None:
    seen: list[Mapping[str, Tally]] = []
    chosen = settings()
    transport = make_transport(chosen, seen.append)
    assert transport.name == "none"
    transport.send(beats(2), NOW_S)
    assert [set(one) for one in seen] == [{"pipeline.heartbeat"}, {"telemetry.points"}]
    (datadog,) = (one for one in chosen.services() if one.name == "datadog")
    assert (datadog.state, "counted, not sent" in datadog.detail) == ("none", True)


def test_an_agent_in_the_settings_is_sent_datagrams_with_the_constant_tags() -> None:
    with Listener.udp() as listener:
        transport = make_transport(
            settings(
                DD_AGENT_HOST="127.0.0.1",
                DD_DOGSTATSD_PORT=str(listener.port),
                DD_ENV="prod",
                DD_VERSION="1.0+a,b|C",
                PETTWIN_METRIC_NAMESPACE="acme.",
            )
        )
        assert transport.send(beats(1), NOW_S) == SendReport("dogstatsd", accepted=1)
        lines = listener.lines()
    constant = ("env:prod", "service:pettwin-pipeline", "version:1.0_a_b_c")
    assert [line.tags for line in lines] == [
        ("component:sensor", *constant),
        ("outcome:accepted", "transport:dogstatsd", *constant),
    ]
    assert {line.name for line in lines} == {"acme.pipeline.heartbeat", "acme.telemetry.points"}


def test_a_key_in_the_settings_sends_over_http_with_the_host() -> None:
    with Intake() as intake:
        chosen = settings(
            DD_API_KEY="k" * 32, DATADOG_HOST=intake.address, PETTWIN_BATCH_INTERVAL_S="45"
        )
        transport = make_transport(chosen, host="lane-0")
        assert transport.send(beats(1), NOW_S) == SendReport("http", accepted=1)
        beat, points = intake.rows(SERIES)
    assert beat["resources"] == points["resources"] == [{"type": "host", "name": "lane-0"}]
    assert points["interval"] == 45
    assert points["points"][0]["value"] == 1.0
    assert "transport:http" in points["tags"]


def test_the_settings_may_force_a_transport() -> None:
    assert make_transport(settings(PETTWIN_METRICS="none", DD_API_KEY="k")).name == "none"
    assert make_transport(settings(PETTWIN_METRICS="dogstatsd")).name == "dogstatsd"
    assert make_transport(settings(DD_AGENT_HOST="h", DD_API_KEY="k")).name == "dogstatsd"
    with pytest.raises(SettingsError, match="DD_API_KEY"):
        settings(PETTWIN_METRICS="http")


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, DogStatsdAddress("127.0.0.1", 8125)),
        ({"DD_AGENT_HOST": "agent"}, DogStatsdAddress("agent", 8125)),
        ({"DD_DOGSTATSD_PORT": "9125"}, DogStatsdAddress("127.0.0.1", 9125)),
        ({"DD_DOGSTATSD_URL": "udp://agent:9125"}, DogStatsdAddress("agent", 9125)),
        ({"DD_DOGSTATSD_URL": "udp://agent"}, DogStatsdAddress("agent", 8125)),
        ({"DD_DOGSTATSD_URL": "udp://[::1]:9125"}, DogStatsdAddress("::1", 9125)),
        ({"DD_DOGSTATSD_URL": "unix:///run/dsd"}, DogStatsdAddress(socket_path="/run/dsd")),
        (
            {"DD_DOGSTATSD_URL": "unix:///run/dsd", "DD_AGENT_HOST": "agent"},
            DogStatsdAddress(socket_path="/run/dsd"),
        ),
    ],
)
def test_the_address_of_dogstatsd(environ: dict[str, str], address: DogStatsdAddress) -> None:
    assert dogstatsd_address(settings(**environ)) == address


@pytest.mark.parametrize(
    "url", ["udp://", "udp://agent:port", "udp://agent:99999", "unix://", "unix://host/run/dsd"]
)
def test_an_address_that_cannot_be_read_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="allowed: udp://host:port or unix:///path/to/socket"):
        settings(DD_DOGSTATSD_URL=url)


def test_a_client_is_loaded_only_when_it_is_chosen() -> None:
    source = (
        "import sys; from pettwin_pipeline.adapters.telemetry import make_transport; "
        "from pettwin_pipeline.settings import Settings; make_transport(Settings.load({})); "
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('datadog', 'datadog_api_client', 'urllib3')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
