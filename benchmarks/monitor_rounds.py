"""How long a round of the local Datadog's monitors takes, and what it costs everyone else.

    python benchmarks/monitor_rounds.py          one minute

* A round of 1,000 monitors with 10 groups each, on a file, of four kinds: each of a metric of its
  own (10,000 series), and all of ten metrics. Wall clock, worst and median of ten, and the pauses
  in it: how long another thread of the process waits at most for its turn.
* DogStatsD beside it: 20,000 lines a second, one a datagram, while rounds run without a pause.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from local_datadog import HEADERS, SINGLE_RATES, Server, one_rate, running

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.emulator.evaluating.evaluator import Evaluator
from pettwin_pipeline.emulator.state import State

MONITORS = 1_000
GROUPS = 10
ROUNDS = 10
START_S = 1_900_000_800
KINDS = (
    "avg(last_5m):avg:{metric}{{*}} by {{host}} > 90",
    "sum(last_5m):sum:{metric}{{*}} by {{host}}.as_count() > 9000",
    "max(last_1h):avg:{metric}{{env:bench}} by {{host}} > 90",
    "pct_change(avg(last_5m),last_30m):avg:{metric}{{*}} by {{host}} > 90",
)


def monitor(number: int, query: str) -> dict[str, object]:
    """One as it is kept."""
    critical = float(query.rsplit(maxsplit=1)[-1])
    return {
        "id": number + 1,
        "type": "query alert",
        "name": f"monitor {number}",
        "message": "{{host.name}} @slack-bench",
        "query": query,
        "tags": ["team:bench"],
        "priority": None,
        "draft_status": "published",
        "created_at": START_S * 1000,
        "options": {"silenced": {}, "thresholds": {"critical": critical}},
    }


def points(state: State, metrics: int) -> None:
    """Two hours of a point a minute and series, and what rounds go on with."""
    for first in range(START_S - 7_200, START_S + (ROUNDS + 1) * 60, 3_600):
        last = min(first + 3_600, START_S + (ROUNDS + 1) * 60)
        state.points.add(
            StoredPoint(
                f"bench.m{metric}",
                ("env:bench", f"host:h{host}"),
                "gauge",
                at_s,
                float((metric * 7 + host * 13 + at_s // 60) % 100),
            )
            for at_s in range(first, last, 60)
            for metric in range(metrics)
            for host in range(GROUPS)
        )


class Pauses(threading.Thread):
    """Wants to run every millisecond, and remembers how late it was."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.worst_s = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Until it is ended."""
        before = time.perf_counter()
        while not self.ended.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            self.worst_s = max(self.worst_s, now - before - 0.001)
            before = now


def rounds(folder: Path, metrics: int) -> None:
    """Ten rounds."""
    state = State.opened(folder / f"{metrics}.sqlite")
    state.clock.set(START_S, stand=True)
    points(state, metrics)
    with state.storage.together():
        for number in range(MONITORS):
            query = KINDS[number % len(KINDS)].format(metric=f"bench.m{number % metrics}")
            state.storage.put("monitor", number + 1, monitor(number, query))
    evaluator = Evaluator(state)
    began = time.perf_counter()
    evaluator.round(START_S)
    first_s = time.perf_counter() - began
    pauses = Pauses()
    pauses.start()
    took, used = [], []
    for number in range(1, ROUNDS + 1):
        state.clock.set(START_S + number * 60, stand=True)
        began, processor = time.perf_counter(), time.process_time()
        evaluator.round(START_S + number * 60)
        took.append(time.perf_counter() - began)
        used.append(time.process_time() - processor)
    pauses.ended.set()
    pauses.join()
    records = [state.monitor_states.get(number + 1) for number in range(MONITORS)]
    groups = sum(len(one.groups) for one in records if one is not None)
    events = state.timeline.counts().get("event", 0)
    problems = state.rounds.told()["not_evaluated"]
    print(
        f"{MONITORS} monitors, {groups} groups, {metrics} metrics: a round takes "
        f"{statistics.median(took):.2f} s, at worst {max(took):.2f} s (goal 1 s), of it "
        f"{statistics.median(used):.2f} s of processor; the first {first_s:.2f} s; another thread "
        f"waits {pauses.worst_s * 1000:.0f} ms at most; {events} events in {ROUNDS + 1} rounds"
    )
    if problems:
        print(json.dumps(problems[:3]))
        sys.exit(1)
    state.close()


def ask(server: Server, method: str, path: str, body: object) -> None:
    """A request with a JSON body."""
    request = urllib.request.Request(  # noqa: S310
        f"{server.address}{path}", json.dumps(body).encode(), HEADERS, method=method
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        answer.read()


def beside(folder: Path) -> None:
    """UDP while a server does nothing but rounds."""
    with running(folder / "beside.sqlite") as server:
        for number in range(MONITORS):
            query = KINDS[number % len(KINDS)].format(metric=f"bench.g.{'abcdefgh'[number % 8]}")
            told = {"type": "query alert", "name": f"monitor {number}", "query": query}
            ask(server, "POST", "/api/v1/monitor", told)
        ended, count = threading.Event(), 0

        def go_on() -> None:
            nonlocal count
            while not ended.is_set():
                ask(server, "PUT", "/_local/clock", {"advance_s": 60})
                count += 1

        thread = threading.Thread(target=go_on)
        thread.start()
        (sent, rate), lost, after_s = one_rate(server, SINGLE_RATES[0], packed=False)
        ended.set()
        thread.join()
        print(
            f"{sent} lines at {rate:,.0f}/s, one a datagram, beside {count} rounds and an open "
            f"page: {lost} lost, all taken {after_s:.1f} s after"
        )


def main() -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        rounds(Path(folder), MONITORS)
        rounds(Path(folder), 10)
        beside(Path(folder))


if __name__ == "__main__":
    main()
