"""Kafka to scored and stored, inside one run, against peers on the same broker in the same process.

The peers: the same client only consuming, and the first version's loop, one message at a time
(poll, json.loads, three deques of 30, numpy mean and std, a DogStatsD call a metric), rewritten
from its description. Needs Java 17 and Maven: the broker is a real Apache Kafka.
"""

import argparse
import contextlib
import json
import os
import socket
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


def consume_only(bench: Bench) -> dict[str, float]:
    """The same client, the same calls, and nothing done with the messages."""
    consumer = ck.Consumer(bench.kafka.reading_config() | {"enable.partition.eof": False})
    topic = bench.settings.kafka_topic
    began = time.perf_counter()
    consumer.assign([ck.TopicPartition(topic, one.partition, one.start) for one in bench.parts])
    left = bench.readings
    while left > 0:
        left -= len(consumer.consume(10_000, timeout=0.1))
    took = time.perf_counter() - began
    consumer.close()
    return {"total": took}


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


def first_version(bench: Bench, most: int = 20_000) -> dict[str, float]:
    """One message at a time; measured on `most` messages and scaled to all."""
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
    return {"total": took * bench.readings / most}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=400_000)
    parser.add_argument("--pets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.pop("KAFKA_BOOTSTRAP_SERVERS", None)
    with filled_broker(arguments.pets, arguments.readings) as bench:
        rounds = [(consume_only(bench), pipeline(bench)) for _ in range(arguments.rounds)]
        old = first_version(bench)
    consuming = min(one["total"] for one, _ in rounds)
    ours = min((two for _, two in rounds), key=lambda one: one["total"])
    n = bench.readings
    print(f"\n{n:,} readings of {arguments.pets:,} pets, best of {arguments.rounds} rounds")
    print(f"only consuming      {n / consuming:>12,.0f} readings/s   1.00")
    print(
        f"pipeline            {n / ours['total']:>12,.0f} readings/s   "
        f"{consuming / ours['total']:.2f} of only consuming (goal 0.33, at least 0.17)"
    )
    print(
        f"first version       {n / old['total']:>12,.0f} readings/s   "
        f"the pipeline is {old['total'] / ours['total']:.0f} times as fast (goal 15)"
    )
    for name, took in ours.items():
        print(f"  {name:<16} {1e6 * took / n:>8.2f} us a reading")


if __name__ == "__main__":
    main()
