"""How much the local Datadog takes, answers and keeps.

    python benchmarks/local_datadog.py          or `make bench-local-datadog`: three minutes

* Lines of DogStatsD a second over UDP from a process of its own to one that does nothing else but
  answer a page of ten queries a second: one line a datagram, and packed. Where loss begins.
* Queries over a day of 1,000 series, over HTTP: 50 % and 95 % of them took at most so long, the
  first one from the file, and processor time of the server.
* Bytes of 10,000 series for a day, from an hour of points of four kinds; a day like the demo's.

Rates are those that the sender reached: where it is slower than asked, it is the limit.
"""

import contextlib
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil

from pettwin_pipeline.datadog_protocol.aggregation import StoredPoint
from pettwin_pipeline.datadog_protocol.evaluation import Asked, evaluate, grid_of
from pettwin_pipeline.datadog_protocol.parsing import parse_metric
from pettwin_pipeline.datadog_protocol.sketches import SketchBuilder
from pettwin_pipeline.emulator.points import Points
from pettwin_pipeline.stack.ports import free_port, free_udp_port

SECONDS = 5.0
SINGLE_RATES = (20_000, 40_000, 80_000, 120_000, 160_000, 240_000)
PACKED_RATES = (100_000, 200_000, 300_000, 400_000, 600_000, 800_000)
PACKED_BYTES = 1_432
HEADERS = {"DD-API-KEY": "any", "DD-APPLICATION-KEY": "any"}
Values = npt.NDArray[np.float64]


class Server:
    """A local Datadog in a process of its own."""

    def __init__(self, file: Path, port: int, udp_port: int) -> None:
        """What it was started with."""
        self.address = f"http://127.0.0.1:{port}"
        self.udp_port = udp_port
        command = ["-m", "pettwin_pipeline.stack.local_datadog", str(file), str(port)]
        self.process = subprocess.Popen(
            [sys.executable, *command, str(udp_port)], stdout=subprocess.DEVNULL
        )

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        request = urllib.request.Request(f"{self.address}{path}", headers=HEADERS)  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            found: bytes = answer.read()
            return found

    def lines(self) -> int:
        """How many lines were taken so far."""
        return int(json.loads(self.get("/_local/unread"))["received"]["lines"])

    def query(self, query: str, span_s: int = 86_400, now_s: float | None = None) -> bytes:
        """A query over the time before."""
        until = int(now_s or time.time())
        asked = {"from": until - span_s, "to": until, "query": query}
        return self.get(f"/api/v1/query?{urllib.parse.urlencode(asked)}")


@contextlib.contextmanager
def running(file: Path) -> Iterator[Server]:
    """A server that answers, until the block ends."""
    server = Server(file, free_port(), free_udp_port(0))
    try:
        while server.process.poll() is None:
            with contextlib.suppress(OSError):
                server.get("/_local/health")
                break
            time.sleep(0.05)
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


def send(port: int, rate: int, seconds: float, packed: bool) -> None:
    """The sender: prints how many lines it sent, and in how many seconds."""
    dice = random.Random(7)
    lines = []
    for _ in range(20_000):
        name, kind = dice.choice("abcdefgh"), dice.choice("cgcd")
        tags = f"env:bench,host:h{dice.randrange(100)}"
        lines.append(f"bench.{kind}.{name}:{dice.randrange(1000)}|{kind}|#{tags}".encode())
    datagrams = [(line, 1) for line in lines]
    if packed:
        datagrams, part = [], b""
        number = 0
        for line in lines:
            if part and len(part) + 1 + len(line) > PACKED_BYTES:
                datagrams.append((part, number))
                part, number = b"", 0
            part = part + b"\n" + line if part else line
            number += 1
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", port))
    sent = place = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        due = int(rate * passed) - sent
        while due > 0:
            datagram, number = datagrams[place]
            place = (place + 1) % len(datagrams)
            sender.send(datagram)
            sent += number
            due -= number
        time.sleep(0.0005)
    print(sent, time.perf_counter() - began)


def page(server: Server, ended: threading.Event) -> None:
    """Ten widgets, drawn anew every second."""
    while not ended.wait(1.0):
        for letter in "abcdefgh":
            server.query(f"avg:bench.g.{letter}{{*}} by {{host}}", 3_600)
        server.query("sum:bench.c.a{env:bench}.as_count()", 3_600)
        server.query("avg:bench.g.b{host:h1*}", 14_400)


def intake(folder: Path) -> None:
    """Rising rates, one line a datagram and packed, with a page open."""
    for packed, rates in ((False, SINGLE_RATES), (True, PACKED_RATES)):
        name = "packed" if packed else "one a datagram"
        first_loss = None
        for rate in rates:
            with running(folder / f"{name}{rate}.sqlite") as server:
                reached, lost, took_s = one_rate(server, rate, packed=packed)
            share = lost / reached[0] * 100 if reached[0] else 0.0
            print(
                f"{name:16} {rate:9,}/s asked {reached[1]:11,.0f}/s sent "
                f"{lost:9,} lost ({share:.2f} %) all taken {took_s:.1f} s after"
            )
            if lost and first_loss is None:
                first_loss = rate
            if reached[1] < rate * 0.8:
                print(f"{name:16} the sender is at its limit")
                break
        print(f"{name:16} loss begins at: {first_loss or 'not reached'}\n")


def one_rate(server: Server, rate: int, *, packed: bool) -> tuple[tuple[int, float], int, float]:
    """(lines sent, lines a second), lines lost, and seconds until all were taken."""
    ended = threading.Event()
    viewer = threading.Thread(target=page, args=(server, ended))
    viewer.start()
    time.sleep(0.5)
    sender = subprocess.run(
        [sys.executable, __file__, "send", str(server.udp_port), str(rate), str(int(packed))],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    sent, took = (float(text) for text in sender.stdout.split())
    began = time.perf_counter()
    taken = server.lines()
    while taken < sent:
        time.sleep(0.2)
        before, taken = taken, server.lines()
        if before == taken:
            break
    after = time.perf_counter() - began
    ended.set()
    viewer.join()
    return (int(sent), sent / took), int(sent) - taken, after


def walk(dice: np.random.Generator, series: int) -> Iterator[Values]:
    """A temperature: two decimals, never far from what it was."""
    now = dice.random(series) * 100
    while True:
        now += dice.normal(0, 0.5, series)
        yield np.round(now, 2)


def drawn(draw: Callable[[], Values]) -> Iterator[Values]:
    """The same dice again and again."""
    while True:
        yield draw()


def kinds(series: int) -> dict[str, Iterator[Values]]:
    """Four kinds of points."""
    dice = np.random.default_rng(1)
    return {
        "counts as rates": drawn(lambda: dice.poisson(3, series) / 10),
        "whole numbers up to 1,000": drawn(lambda: np.floor(dice.random(series) * 1000)),
        "a walk of two decimals": walk(dice, series),
        "random doubles (the worst)": drawn(lambda: dice.random(series) * 100),
    }


def fill(points: Points, values: Iterator[Values], series: int, from_s: int, buckets: int) -> None:
    """Points of one metric, every ten seconds."""
    tags = [("env:bench", f"host:h{place}") for place in range(series)]
    for bucket in range(buckets):
        at_s = from_s + bucket * 10
        points.add(
            StoredPoint("bench.day", tag, "gauge", at_s, value)
            for tag, value in zip(tags, next(values).tolist(), strict=True)
        )
        if bucket % 360 == 0:
            points.tidy(at_s)


def queries(folder: Path) -> None:
    """A day of 1,000 series over HTTP."""
    now_s = int(time.time()) // 3600 * 3600
    points = Points(folder / "day.points.sqlite")
    fill(points, walk(np.random.default_rng(1), 1_000), 1_000, now_s - 86_400, 8_640)
    points.pack_all()
    points.close()
    asked = {
        "avg:bench.day{*}": 60,
        "max:bench.day{host:h1*}": 60,
        "avg:bench.day{env:bench AND NOT host:h2*} by {env}": 60,
        "top(avg:bench.day{*} by {host}, 10, 'mean', 'desc')": 60,
        "avg:bench.day{*} by {host}": 20,
    }
    with running(folder / "day.sqlite") as server:
        for query, times in asked.items():
            took = []
            used_s = processor_s(server)
            for _ in range(times):
                began = time.perf_counter()
                size = len(server.query(query, now_s=now_s))
                took.append((time.perf_counter() - began) * 1000)
            p50, p95 = np.percentile(took, (50, 95))
            used_ms = (processor_s(server) - used_s) / times * 1000
            print(
                f"{query:54} p50 {p50:6.1f} ms  p95 {p95:6.1f} ms  first {took[0]:6.1f} ms  "
                f"processor {used_ms:6.1f} ms  {size / 1000:8,.0f} KB"
            )
    print()


def processor_s(server: Server) -> float:
    """What the server has used so far: other work on the machine counts less."""
    used = psutil.Process(server.process.pid).cpu_times()
    return float(used.user + used.system)


def sizes(folder: Path) -> None:
    """An hour of 10,000 series, packed; a day is 24 of them."""
    series = 10_000
    for place, (name, values) in enumerate(kinds(series).items()):
        points = Points(folder / f"size{place}.sqlite")
        fill(points, values, series, 1_800_000_000, 360)
        with_journal = points.told()["bytes"]
        points.pack_all()
        size = points.told()["bytes"]
        points.close()
        day = size * 24 + with_journal
        print(
            f"{name:27} {size / series / 360:5.2f} bytes a point, 10,000 series for a day "
            f"{day / 1e6:6,.0f} MB (with the journal of the open hour)"
        )


def day_of_the_demo(folder: Path) -> None:
    """83 series as a demo has, 28 of them distributions of 50 values each ten seconds."""
    dice = np.random.default_rng(1)
    ticks = [0.0]
    points = Points(folder / "demo.sqlite", monotonic=lambda: ticks[0])
    before = resident_mb()
    began = time.perf_counter()
    for bucket in range(8_640):
        ticks[0] = bucket * 10.0
        at_s = 1_800_000_000 + bucket * 10
        found = [
            StoredPoint(f"demo.{place}", ("env:demo",), "rate", at_s, float(dice.poisson(5)) / 10)
            for place in range(55)
        ]
        for place in range(28):
            builder = SketchBuilder()
            for value in dice.lognormal(3, 1, 50).tolist():
                builder.add(value)
            name = f"demo.d{place}"
            found.append(StoredPoint(name, ("env:demo",), "distribution", at_s, builder.build()))
        points.add(found)
        points.tidy(at_s)
    took = time.perf_counter() - began
    print(
        f"\na day of 55 rates and 28 distributions: {points.told()['bytes'] / 1e6:.0f} MB in the "
        f"file, {resident_mb() - before:.0f} MB more in memory, made in {took:.0f} s"
    )
    (expression,) = parse_metric("p95:demo.d1{*}")
    asked = Asked(points, grid_of([expression], 1_800_000_000, 1_800_086_400))
    for name in ("first", "then"):
        began = time.perf_counter()
        evaluate(expression, asked)
        took = (time.perf_counter() - began) * 1000
        print(f"a day of one distribution's p95, {name}: {took:.1f} ms")
    points.close()


def resident_mb() -> float:
    """Of this process."""
    return psutil.Process().memory_info().rss / 1e6


def main() -> None:
    """Everything, or the sender alone."""
    if sys.argv[1:2] == ["send"]:
        port, rate, packed = map(int, sys.argv[2:])
        send(port, rate, SECONDS, bool(packed))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        intake(folder)
        queries(folder)
        sizes(folder)
        day_of_the_demo(folder)


if __name__ == "__main__":
    main()
