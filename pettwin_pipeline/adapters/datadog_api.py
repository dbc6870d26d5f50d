"""Points to Datadog's HTTP intake without an Agent, through Datadog's own API client.

Imported only when this transport is chosen. Counts and gauges go to /api/v2/series, distributions
to /api/v1/distribution_points. Over HTTP points are stored as they come: the same name, tags and
second sent twice is one point, the later one. So equal series are joined before they are sent, no
two sendings of a process share a second, and `host` keeps processes apart.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import msgspec
import urllib3
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.exceptions import ApiException, OpenApiException
from datadog_api_client.v1.api.metrics_api import MetricsApi as DistributionsApi
from datadog_api_client.v2.api.metrics_api import MetricsApi as SeriesApi
from pydantic import SecretStr

from pettwin_pipeline.adapters.telemetry import SendReport, TransportName, report_of
from pettwin_pipeline.metrics.declared import Tags
from pettwin_pipeline.metrics.points import Point

_COUNT, _GAUGE = 1, 3
"""Types of /api/v2/series."""
_MOST_BYTES: Final = {"series": 480_000, "distributions": 3_000_000}
"""Unpacked bytes of one payload: under the limits for packed ones (512,000 and 3.2 million), since
packing does not make JSON larger, and far under those for unpacked ones (5 and 62 MB)."""
_COMPRESSION: Final = "deflate"  # the only one that both endpoints know
_SERVER_ERRORS: Final = range(500, 600)
_HOPELESS: Final = ("auth", "unreachable")
"""Reasons that hold for the rest of a sending as well: it is not tried."""
_Series = tuple[str, Tags, int]
"""Name, tags and second: what the intake takes for one point."""
_REASONS: Final = {
    401: "auth",
    403: "auth",
    408: "timeout",
    413: "too_large",
    429: "rate_limited",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds one sending.

    Attributes:
        timeout_s: of one request.
        deadline_s: of all requests of a sending, waits included.
        attempts: at one payload.
        backoff_s: the first wait after a server error; it doubles.
    """

    timeout_s: float = 5.0
    deadline_s: float = 15.0
    attempts: int = 4
    backoff_s: float = 0.5


@dataclass(frozen=True, slots=True)
class _Row:
    """One series of a payload, and how many of the points that were given are in it."""

    content: dict[str, Any]
    points: int


@dataclass(frozen=True, slots=True)
class _Failure:
    """A request that was not accepted; where another may do better, after `wait_s`."""

    reason: str
    wait_s: float | None = None


class _Seconds:
    """The seconds that this process has used, by address and host: none is used twice."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self._lock = Lock()

    def take(self, address: str, host: str, now_s: int) -> int:
        """Now, or the second after the last one where that is later."""
        with self._lock:
            second = max(now_s, self._last.get((address, host), now_s - 1) + 1)
            self._last[address, host] = second
        return second


_SECONDS: Final = _Seconds()


class DatadogApiTransport:
    """Sends points over HTTP.

    Args:
        api_key: DD_API_KEY.
        site: for example datadoghq.eu.
        address: of the API, instead of the site's; a proxy or a local server.
        host: the host of every series; empty for none.
        constant_tags: `key:value` of env, service and version.
        namespace: put before every name, with a dot between; empty for none.
        interval_s: how many seconds a count covers, for `as_rate`.
        limits: what bounds one sending.
        sleep, monotonic: waits and the clock of the deadline.
    """

    name: Final[TransportName] = "http"

    def __init__(
        self,
        api_key: SecretStr,
        *,
        site: str = "datadoghq.com",
        address: str | None = None,
        host: str = "",
        constant_tags: Sequence[str] = (),
        namespace: str = "",
        interval_s: int = 10,
        limits: Limits = Limits(),
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._configuration = Configuration(
            host=address.rstrip("/") if address else None,
            # Rows are built below to the letter of the API; the client's check of each single
            # value of a distribution would cost more than all the rest.
            check_input_type=False,
            check_return_type=False,
            # The client's own retries know no deadline, and urllib3 would retry by default.
            retry_policy=urllib3.Retry(total=False, redirect=False),
        )
        # Set afterwards: the constructor lets the environment win.
        self._configuration.server_variables["site"] = site
        # A secret out of a file often ends with a newline, which no header can carry.
        self._configuration.api_key["apiKeyAuth"] = api_key.get_secret_value().strip()
        self._address = address or site
        self._host = host
        self._constant_tags = tuple(constant_tags)
        self._prefix = f"{namespace}." if namespace else ""
        self._interval_s = interval_s
        self._limits = limits
        self._sleep = sleep
        self._monotonic = monotonic

    def send(self, points: Sequence[Point], now_s: float) -> SendReport:
        """Send points; those of a payload that was not accepted are dropped."""
        second = _SECONDS.take(self._address, self._host, int(now_s))
        deadline = self._monotonic() + self._limits.deadline_s
        lost: Counter[str] = Counter()
        requests: list[tuple[str, float]] = []
        groups = _same_series(points, second)
        with ApiClient(self._configuration) as client:
            for submit, payload in self._requests(client, groups):
                hopeless = next((reason for reason in _HOPELESS if lost[reason]), None)
                reason = hopeless or self._submit(submit, payload, deadline, requests)
                if reason:
                    lost[reason] += sum(row.points for row in payload)
        return report_of(self.name, len(points), lost, requests)

    def _requests(
        self, client: ApiClient, groups: Mapping[_Series, Sequence[Point]]
    ) -> Iterator[tuple[Callable[..., Any], list[_Row]]]:
        """The payloads of a sending, each with the method of the client that takes it."""
        series, distributions = [], []
        for (_, _, second), group in groups.items():
            if group[0].kind == "distribution":
                distributions.append(self._distribution(group, second))
            else:
                series.append(self._series(group, second))
        for payload in _payloads(series, _MOST_BYTES["series"]):
            yield SeriesApi(client).submit_metrics, payload
        for payload in _payloads(distributions, _MOST_BYTES["distributions"]):
            yield DistributionsApi(client).submit_distribution_points, payload

    def _series(self, group: Sequence[Point], second: int) -> _Row:
        point = group[-1]
        row: dict[str, Any] = {
            "metric": self._prefix + point.name,
            "type": _GAUGE,
            "points": [{"timestamp": second, "value": point.values[0]}],
            "tags": self._tags(point),
        }
        if point.kind == "count":
            row["type"], row["interval"] = _COUNT, self._interval_s
            row["points"][0]["value"] = math.fsum(one.values[0] for one in group)
        if self._host:
            row["resources"] = [{"type": "host", "name": self._host}]
        return _Row(row, len(group))

    def _distribution(self, group: Sequence[Point], second: int) -> _Row:
        """There is no sample rate over HTTP: a value is repeated as often as it stands for."""
        values = [value for point in group for value in point.values for _ in range(point.weight)]
        row: dict[str, Any] = {
            "metric": self._prefix + group[0].name,
            "points": [[second, values]],
            "tags": self._tags(group[0]),
        }
        if self._host:
            row["host"] = self._host
        return _Row(row, len(group))

    def _tags(self, point: Point) -> list[str]:
        return [*(f"{key}:{value}" for key, value in point.tags), *self._constant_tags]

    def _submit(
        self,
        submit: Callable[..., Any],
        payload: Sequence[_Row],
        deadline: float,
        requests: list[tuple[str, float]],
    ) -> str | None:
        """Send one payload, again where that may help. Returns why it was dropped, or None.

        Each request is noted in `requests`: its outcome, and how many milliseconds it took.
        """
        body = {"series": [row.content for row in payload]}
        reason = "deadline"
        for attempt in range(self._limits.attempts):
            began = self._monotonic()
            left = deadline - began
            if left <= 0:
                break
            self._configuration.request_timeout = min(self._limits.timeout_s, left)
            failure = self._request(submit, body, self._limits.backoff_s * 2**attempt)
            took_ms = (self._monotonic() - began) * 1000
            requests.append(("failed" if failure else "success", took_ms))
            if failure is None:
                return None
            reason = failure.reason
            last = attempt + 1 == self._limits.attempts
            if last or failure.wait_s is None or failure.wait_s >= deadline - self._monotonic():
                break
            self._sleep(failure.wait_s)
        return reason

    @staticmethod
    def _request(
        submit: Callable[..., Any], body: dict[str, Any], backoff_s: float
    ) -> _Failure | None:
        """One request. Without an answer nobody knows whether the points arrived: not again."""
        try:
            answer = submit(body, content_encoding=_COMPRESSION)
        except ApiException as error:
            return _explain(error.status or 0, error.headers or {}, backoff_s)
        except urllib3.exceptions.NewConnectionError:
            return _Failure("unreachable")
        except urllib3.exceptions.TimeoutError:
            return _Failure("timeout")
        except (urllib3.exceptions.HTTPError, OSError):
            return _Failure("unreachable")
        except (OpenApiException, ValueError):  # a key or an answer that HTTP cannot carry
            return _Failure("refused")
        errors = getattr(answer, "errors", None)
        return _Failure("refused") if errors else None


def _explain(status: int, headers: Mapping[str, str], backoff_s: float) -> _Failure:
    """What a status means; X-RateLimit-Reset says how many seconds to wait."""
    if status in _SERVER_ERRORS:
        return _Failure("server_error", backoff_s)
    if not status:
        return _Failure("unreachable")
    reason = _REASONS.get(status, "refused")
    if reason != "rate_limited":
        return _Failure(reason)
    lower = {key.lower(): value for key, value in headers.items()}
    reset = lower.get("x-ratelimit-reset", "").strip()
    return _Failure(reason, float(reset) if reset.isdecimal() else backoff_s)


def _same_series(points: Iterable[Point], now_s: int) -> dict[_Series, list[Point]]:
    """Points that the intake would take for one, by series and second."""
    groups: dict[_Series, list[Point]] = {}
    for point in points:
        second = now_s if point.timestamp_s is None else point.timestamp_s
        groups.setdefault((point.name, point.tags, second), []).append(point)
    return groups


def _payloads(rows: Sequence[_Row], most_bytes: int) -> Iterator[list[_Row]]:
    """Cut rows into payloads of at most `most_bytes` unpacked; a larger row travels alone."""
    payload: list[_Row] = []
    size = 0
    for row in rows:
        compact = msgspec.json.encode(row.content)
        # the client writes a space after each comma and colon
        row_size = len(compact) + compact.count(b",") + compact.count(b":") + 2
        if payload and size + row_size > most_bytes:
            yield payload
            payload, size = [], 0
        payload.append(row)
        size += row_size
    if payload:
        yield payload
