"""How points leave the process: one protocol, and the choice of a transport by settings.

Knows which transports there are, not how they work: each is imported when it is chosen, because the
code location and the command line must not load a Datadog client to say what they can do. Points
are never in the way of the stream: a transport does not raise, it drops and says so.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from pettwin_pipeline.errors import SettingsError
from pettwin_pipeline.metrics.catalogue import tag_value
from pettwin_pipeline.metrics.points import Point, Recorder
from pettwin_pipeline.settings import Settings

TransportName = Literal["dogstatsd", "http", "none"]

DROP_REASONS: Final = {
    "auth": "the API key is wrong: check DD_API_KEY and DD_SITE",
    "deadline": "the time for one sending was used up",
    "disabled": "DD_DOGSTATSD_DISABLE is set: the client sends nothing",
    "rate_limited": "Datadog asked to wait for longer than one sending may take",
    "refused": "Datadog refused the payload",
    "server_error": "Datadog answered with a server error",
    "socket": "nobody listens at the DogStatsD address, or its buffer is full",
    "timeout": "no answer in time",
    "too_large": "a payload was too large",
    "unreachable": "the address of the API cannot be reached, or the connection broke",
}
"""Why points are dropped, and what that means for people."""


@dataclass(frozen=True, slots=True)
class SendReport:
    """What became of the points of one sending.

    Attributes:
        accepted: handed over. Over UDP nobody acknowledges: it left without an error.
        dropped: not handed over, or refused.
        reason: why most of the dropped were, a key of `DROP_REASONS`; None where none were.
        requests: outcome (success or failed) and milliseconds of each request that was made.
    """

    transport: TransportName
    accepted: int
    dropped: int = 0
    reason: str | None = None
    requests: tuple[tuple[str, float], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Tally:
    """What `pettwin status` shows of a metric where nothing is sent.

    Attributes:
        points: how many points of this name one sending had.
        last_value: the sum of a count, the last gauge, the mean of a distribution.
        last_s: when, seconds since 1970 UTC.
    """

    points: int
    last_value: float
    last_s: float


CountPoints = Callable[[Mapping[str, Tally]], None]


class Transport(Protocol):
    """Sends points. Never raises for what happens outside, and is done in bounded time."""

    @property
    def name(self) -> TransportName:
        """The value of the tag transport."""

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Send points that have no time of their own as of `now_s`, seconds since 1970 UTC."""


def report_of(
    transport: TransportName,
    points: int,
    lost: Mapping[str, int],
    requests: Sequence[tuple[str, float]] = (),
) -> SendReport:
    """The report of a sending of `points` points, of which `lost` were dropped by reason."""
    dropped = sum(lost.values())
    reason = max(sorted(lost), key=lambda name: lost[name]) if dropped else None
    return SendReport(transport, points - dropped, dropped, reason, tuple(requests))


class CountedTransport:
    """For a pipeline with no Datadog: points are counted by name and kept nowhere here."""

    name: Final[TransportName] = "none"

    def __init__(self, count_points: CountPoints) -> None:
        self._count_points = count_points

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Hand a tally of each metric to the counter; every point is accepted."""
        by_name: dict[str, list[Point]] = {}
        for point in points:
            by_name.setdefault(point.name, []).append(point)
        if by_name:
            self._count_points({name: _tally(group, now_s) for name, group in by_name.items()})
        return SendReport(self.name, accepted=len(points))


def _tally(points: Sequence[Point], now_s: float) -> Tally:
    value = points[-1].values[-1]
    if points[0].kind == "count":
        value = math.fsum(point.values[0] for point in points)
    elif points[0].kind == "distribution":
        total = math.fsum(value * point.weight for point in points for value in point.values)
        value = total / sum(point.weight * len(point.values) for point in points)
    return Tally(len(points), value, now_s)


class ReportingTransport:
    """Any transport, reporting itself: telemetry.points, and pipeline.http.latency of its requests.

    After each sending a second, small one says what became of the first; nothing is said of the
    second, so reports never breed reports. Where the first was lost whole the second is not tried:
    it, or one that was lost itself, is added to that of the next sending. A process that ends
    before leaves what it `owes` to the next one, which takes it over.
    """

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self._outcomes: Counter[str] = Counter()
        self._requests: list[tuple[str, float]] = []

    @property
    def name(self) -> TransportName:
        """The name of the transport inside."""
        return self._inner.name

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Send, report the sending, and return what became of `points`."""
        if not points:
            return SendReport(self.name, accepted=0)
        report = self._inner.send(points, now_s)
        self._outcomes.update(accepted=report.accepted, dropped=report.dropped)
        self._requests += report.requests
        if report.accepted and not self._inner.send(self.unreported(), now_s).dropped:
            self._outcomes.clear()
            self._requests.clear()
        return report

    @property
    def owes(self) -> dict[str, int]:
        """Points by outcome of which nothing has been said yet."""
        return {outcome: n for outcome, n in self._outcomes.items() if n}

    def take_over(self, outcomes: Mapping[str, int]) -> None:
        """Say with the next points what another process owed."""
        self._outcomes.update(outcomes)

    def unreported(self) -> list[Point]:
        """What has not been reported yet, as points."""
        recorder = Recorder()
        for outcome, n in self.owes.items():
            recorder.count("telemetry.points", n, transport=self.name, outcome=outcome)
        for outcome, ms in self._requests:
            recorder.distribution("pipeline.http.latency", [ms], peer="datadog", outcome=outcome)
        return recorder.drain()


def make_transport(
    settings: Settings, count_points: CountPoints = lambda _: None, host: str = ""
) -> ReportingTransport:
    """The transport that the settings choose.

    Args:
        settings: metrics_transport, addresses, keys, env, service, version, namespace.
        count_points: where the tallies go when the transport is `none`; the ledger stores them.
        host: over HTTP, keeps processes apart that send the same series: `lane-0`, `sensor`. From a
            bounded set. Through DogStatsD the Agent adds its own host.
    """
    makers: dict[TransportName, Callable[[], Transport]] = {
        "dogstatsd": lambda: _dogstatsd(settings),
        "http": lambda: _http(settings, host),
        "none": lambda: CountedTransport(count_points),
    }
    return ReportingTransport(makers[settings.metrics_transport]())


def _constant_tags(settings: Settings) -> tuple[str, ...]:
    given = {
        "env": settings.dd_env,
        "service": settings.dd_service,
        "version": settings.dd_version,
    }
    return tuple(f"{key}:{tag_value(value)}" for key, value in given.items())


def _dogstatsd(settings: Settings) -> Transport:
    from pettwin_pipeline.adapters.dogstatsd import DogStatsdTransport

    return DogStatsdTransport(
        dogstatsd_address(settings),
        constant_tags=_constant_tags(settings),
        namespace=settings.pettwin_metric_namespace.rstrip("."),
    )


def _http(settings: Settings, host: str) -> Transport:
    from pettwin_pipeline.adapters.datadog_api import DatadogApiTransport

    if settings.dd_api_key is None:
        raise SettingsError("points over HTTP need DD_API_KEY")
    return DatadogApiTransport(
        settings.dd_api_key,
        site=settings.dd_site,
        address=settings.datadog_host,
        host=host,
        constant_tags=_constant_tags(settings),
        namespace=settings.pettwin_metric_namespace.rstrip("."),
        interval_s=settings.pettwin_batch_interval_s,
    )


@dataclass(frozen=True, slots=True)
class DogStatsdAddress:
    """A UDP address, or the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 8125
    socket_path: str | None = None


def dogstatsd_address(settings: Settings) -> DogStatsdAddress:
    """DD_DOGSTATSD_URL, else DD_AGENT_HOST and its port, else the local Datadog that runs."""
    url = settings.dd_dogstatsd_url
    if local := settings.local_dogstatsd:
        url = f"udp://{local}"
    if not url:
        return DogStatsdAddress(settings.dd_agent_host or "127.0.0.1", settings.dd_dogstatsd_port)
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return DogStatsdAddress(socket_path=parts.path)
    return DogStatsdAddress(parts.hostname or "", parts.port or settings.dd_dogstatsd_port)
