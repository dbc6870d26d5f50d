"""How fast Datadog's language is read and answered, next to plain Python and numpy in the same run.

    python benchmarks/datadog_protocol.py

Datagram lines against `bytes.split`, queries against `json.loads` of the same text in quotes, a day
of 100 series against numpy's mean over the same points, monitors of 10 groups as a round of 1,000.
Processor time, so that other work on the machine counts less.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.datadog_protocol.aggregation import Aggregator
from pettwin_pipeline.datadog_protocol.datagram import Sample, parse_datagram
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate, grid_of
from pettwin_pipeline.datadog_protocol.monitor_evaluation import evaluate_metric
from pettwin_pipeline.datadog_protocol.monitor_options import MonitorOptions
from pettwin_pipeline.datadog_protocol.monitor_states import step
from pettwin_pipeline.datadog_protocol.monitor_syntax import MetricAlert
from pettwin_pipeline.datadog_protocol.rolling import (
    Grid,
    Rolled,
    StoredSeries,
    roll,
)
from pettwin_pipeline.datadog_protocol.sketches import Sketch
from pettwin_pipeline.datadog_protocol.syntax import Scope

ROOT = Path(__file__).parents[1]
QUERIES = ROOT / "pettwin_pipeline_tests" / "datadog_protocol" / "queries_that_are_fine.tsv"
DAY_S = 86400
LINE = b"http.requests:1|c|#env:prod,service:web"
PACKED = b"http.latency:1.5:2:3:4:5:6:7:8:9:10|d|#env:prod,service:web"


class Hosts:
    """A day of one gauge of many hosts, a point every ten seconds."""

    def __init__(self, hosts: int) -> None:
        self.times = np.arange(0, DAY_S, 10)
        self.values = np.random.default_rng(1).random((hosts, len(self.times)))
        self.known = [StoredSeries(host, (f"host:h{host}",), "gauge", 10) for host in range(hosts)]

    def find(self, metric: str, scope: Scope) -> list[StoredSeries]:
        """All of them."""
        del metric, scope
        return self.known

    def roll(self, series: list[StoredSeries], over: Grid) -> Rolled:
        """From the raw points, every time."""
        return roll([(self.times, self.values[one.key]) for one in series], over)

    def sketches(self, series: list[StoredSeries], over: Grid) -> list[list[Sketch | None]]:
        """There are no distributions."""
        del series, over
        return []


def per_call(work: Callable[[], object], calls: int) -> float:
    """Microseconds of processor time; one call before is not counted."""
    work()
    started = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - started) / calls * 1e6


def show(what: str, ours_us: float, peer: str, peer_us: float) -> None:
    """One line with its ratio."""
    print(f"{what:42} {ours_us:10.1f} us   {peer} {peer_us:8.1f} us   x {ours_us / peer_us:.1f}")


def lines() -> None:
    """One datagram line, alone and packed, read and added up."""
    aggregator = Aggregator()

    def take(datagram: bytes) -> None:
        for item in parse_datagram(datagram):
            if isinstance(item, Sample):
                aggregator.add(item, 0.0)

    for name, line in (("a line of one count", LINE), ("a line of ten values", PACKED)):
        peer_us = per_call(lambda line=line: line.split(b"|"), 100_000)
        show(name, per_call(lambda line=line: take(line), 50_000), "split", peer_us)


def queries() -> None:
    """Every fine query of the tests."""
    known = [one.split("\t") for one in QUERIES.read_text("utf-8").splitlines()]
    quoted = [json.dumps(query) for _, query in known]
    ours_us = per_call(lambda: [parsing.parse(kind, query) for kind, query in known], 20)
    peer_us = per_call(lambda: [json.loads(one) for one in quoted], 20)
    show(f"a query (mean of {len(known)})", ours_us / len(known), "json", peer_us / len(known))


def day() -> None:
    """A day of a hundred hosts as a dashboard asks it."""
    store = Hosts(100)
    (query,) = parsing.parse_metric("avg:a{*} by {host}")
    asked = Asked(store, grid_of([query], 0, DAY_S))
    peer_us = per_call(lambda: store.values.reshape(100, 288, 30).mean(axis=2), 20)
    show("a day of 100 series", per_call(lambda: evaluate(query, asked), 20), "numpy", peer_us)


def monitors() -> None:
    """A round of monitors, each with ten groups."""
    store = Hosts(10)
    alert = parsing.parse_monitor("query alert", "avg(last_5m):avg:a{*} by {host} > 0.9")
    if not isinstance(alert, MetricAlert):
        raise TypeError
    options = MonitorOptions()

    def one_round() -> None:
        for found in evaluate_metric(alert, store, DAY_S - 5, options).values():
            step(None, found, alert.comparison, options, DAY_S)

    print(f"a round of 1,000 monitors with 10 groups   {per_call(one_round, 200) / 1e3:.2f} s")


if __name__ == "__main__":
    lines()
    queries()
    day()
    monitors()
