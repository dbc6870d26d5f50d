"""Kafka to scored and stored, inside one run, against peers on the same broker and topic.

The peers: the same client only consuming; the first version's loop, one message at a time (poll,
json.loads, three deques of 30, numpy mean and std, a DogStatsD call a metric), rewritten from its
description; a Quix Streams job that keeps the same state of each pet (quix_job.py, in a process and
an environment of its own). Needs Java 17 and Maven: the broker is a real Apache Kafka.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import confluent_kafka as ck
import numpy as np
from datadog.dogstatsd.base import DogStatsd

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.batches import OffsetRange, PartitionRange
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.commands.simulate import Plan, messages_of
from pettwin_pipeline.commands.topics import create_topics
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.scoring import score_batch
from pettwin_pipeline.detection.snapshots import plan_snapshot
from pettwin_pipeline.readings.decode import decode_batch
from pettwin_pipeline.settings import Broker, Settings
from pettwin_pipeline.stack.apache_kafka import running_kafka

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".venv-peers/bin/python"
STAGES = ("read", "decode", "store readings", "score and store", "total")


@dataclass(frozen=True)
class Bench:
    """What is measured on: a broker with readings in it."""

    settings: Settings
    kafka: Kafka
    parts: Sequence[PartitionRange]
    readings: int


@contextlib.contextmanager
def filled_broker(pets: int, readings: int) -> Iterator[Bench]:
    """A Kafka of its own with about so many readings of so many pets."""
    with tempfile.TemporaryDirectory() as folder, running_kafka(Path(folder), print) as running:
        settings = Settings.load({"PETTWIN_STATE_DIR": folder})
        broker = Broker(running.address, "kafka", "", "the benchmark")
        with Kafka(settings, broker) as kafka:
            create_topics(settings, kafka, 4)
            plan = Plan(pets=pets, minutes=readings * 2 / pets / 60, speed=0, ill_share=0.1)
            with Sender(settings, kafka, [settings.kafka_topic]) as sender:
                for chunk in plan.chunks(plan.start_ms(time.time()), 60.0):
                    messages = messages_of(chunk.readings, keep_times=False)
                    sender.send(settings.kafka_topic, messages)
            marks = kafka.watermarks(settings.kafka_topic)
            parts = [PartitionRange(p, m.low, m.stable) for p, m in marks.items() if m.stable]
            yield Bench(settings, kafka, parts, sender.acked)


def consume_only(bench: Bench) -> float:
    """Seconds of the same client, the same calls, and nothing done with the messages."""
    consumer = ck.Consumer(bench.kafka.reading_config() | {"enable.partition.eof": False})
    topic = bench.settings.kafka_topic
    began = time.perf_counter()
    consumer.assign([ck.TopicPartition(topic, one.partition, one.start) for one in bench.parts])
    left = bench.readings
    while left > 0:
        left -= len(consumer.consume(10_000, timeout=0.1))
    took = time.perf_counter() - began
    consumer.close()
    return took


def pipeline(bench: Bench) -> dict[str, float]:
    """What a run does: read exactly the range, decode, store, score, store scores and baselines."""
    marks = [time.perf_counter()]
    names = []

    def lap(name: str) -> None:
        marks.append(time.perf_counter())
        names.append(name)

    with tempfile.TemporaryDirectory() as folder:
        files = BatchFiles.at(folder)
        one = OffsetRange(bench.settings.kafka_topic, "bench", 0, tuple(bench.parts))
        got = bench.kafka.read_range(one.topic, one.parts)
        lap("read")
        decoded = decode_batch(got.values, got.keys, got.partitions, got.offsets, got.kafka_ms)
        lap("decode")
        files.write_frame(one, "readings", decoded.readings)
        lap("store readings")
        for part in one.parts:
            mine = decoded.readings.filter(decoded.readings["partition"] == part.partition)
            scored = score_batch(mine, Baselines.empty())
            files.write_frame(one, f"scores{part.partition}", scored.scores)
            kept = BaselineFiles(files, one.topic, one.epoch, part.partition, "bench")
            touched = mine["pet_id"].unique()
            kept.write(part.end, plan_snapshot(scored.baselines, touched, None, 1))
        lap("score and store")
    laps = {name: b - a for name, a, b in zip(names, marks, marks[1:], strict=False)}
    return {**laps, "total": marks[-1] - marks[0]}


def first_version(bench: Bench, most: int = 20_000) -> float:
    """Seconds of one message at a time; measured on `most` messages and scaled to all."""
    consumer = ck.Consumer(bench.kafka.reading_config() | {"enable.partition.eof": False})
    topic = bench.settings.kafka_topic
    consumer.assign([ck.TopicPartition(topic, one.partition, one.start) for one in bench.parts])
    windows = {name: deque[float](maxlen=30) for name in ("heart_rate", "activity_score", "gait")}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        statsd = DogStatsd(port=listener.getsockname()[1], disable_buffering=True)
        consumer.poll(5.0)
        began = time.perf_counter()
        for _ in range(most):
            message = consumer.poll(1.0)
            reading = json.loads(message.value())
            for name, window in windows.items():
                value = reading.get(name)
                if value is None:
                    continue
                window.append(value)
                mean, deviation = np.mean(window), np.std(window)
                score = abs(value - mean) / deviation if deviation else 0.0
                statsd.gauge(f"pet.{name}", score, tags=[f"pet_id:{reading['pet_id']}"])
        took = time.perf_counter() - began
    consumer.close()
    return took * bench.readings / most


def quix(bench: Bench, most: int, *options: str) -> float:
    """Seconds of the Quix Streams job; measured on `most` messages and scaled to all."""
    count = min(most, bench.readings)
    with tempfile.TemporaryDirectory() as folder:
        script = str(Path(__file__).with_name("quix_job.py"))
        place = (bench.kafka.broker.bootstrap, bench.settings.kafka_topic, folder, str(count))
        command = [str(PEERS), script, *place, *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        raise RuntimeError(f"the Quix Streams job failed: {done.stderr}")
    told = done.stdout.split()
    if int(told[1]) != count:
        raise RuntimeError(f"the job scored {told[1]} of {count} readings")
    return float(told[0]) * bench.readings / count


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=400_000)
    parser.add_argument("--pets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quix", type=int, default=200_000, help="readings of the Quix job")
    arguments = parser.parse_args()
    os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
    rounds: list[dict[str, float]] = []
    with filled_broker(arguments.pets, arguments.readings) as bench:
        for _ in range(arguments.rounds):
            rounds.append({"only consuming": consume_only(bench), **pipeline(bench)})
            rounds[-1]["first version"] = first_version(bench)
            if PEERS.exists():
                rounds[-1]["Quix Streams"] = quix(bench, arguments.quix, "--changelog")
                rounds[-1]["  no changelog"] = quix(bench, arguments.quix)
    print_table(arguments, bench.readings, rounds)


def print_table(arguments: argparse.Namespace, n: int, rounds: Sequence[dict[str, float]]) -> None:
    """The best of the rounds, of each."""
    best = {name: min(one[name] for one in rounds) for name in rounds[0]}
    consuming, total = best["only consuming"], best["total"]
    ours = min(rounds, key=lambda one: one["total"])
    print(f"\n{n:,} readings of {arguments.pets:,} pets, best of {arguments.rounds} rounds")
    print(f"only consuming      {n / consuming:>12,.0f} readings/s   1.00")
    print(
        f"pipeline            {n / total:>12,.0f} readings/s   "
        f"{consuming / total:.2f} of only consuming (goal 0.33, at least 0.17)"
    )
    for name in STAGES:
        print(f"  {name:<16} {1e6 * ours[name] / n:>8.2f} us a reading")
    for name, goal in {
        "first version": " (goal 15)",
        "Quix Streams": "",
        "  no changelog": "",
    }.items():
        if name in best:
            print(
                f"{name:<19} {n / best[name]:>12,.0f} readings/s   "
                f"the pipeline is {best[name] / total:.1f} times as fast{goal}"
            )
    if not PEERS.exists():
        print(f"Quix Streams        not measured: `make bench` installs it ({PEERS} is not there)")


if __name__ == "__main__":
    main()
