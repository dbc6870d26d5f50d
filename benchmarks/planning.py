"""A tick of the sensor that plans, by number of partitions, against the two bare admin calls.

Peer: what any planner has to ask a broker, the low watermarks and the last stable offsets of all
partitions, in the same process on the same broker. Needs Java 17 and Maven: it is a real Kafka.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import OffsetSpec

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_setbacks import Setbacks
from pettwin_pipeline.defs.planning import request_ranges
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.errors import PettwinError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.apache_kafka import running_kafka

PARTS: Mapping[str, tuple[tuple[type, str], ...]] = {
    "metadata": ((Kafka, "topic_epoch"), (Kafka, "partitions")),
    "watermarks": ((Kafka, "_offsets"),),
    "offsets of the group": ((Kafka, "committed"),),
    "ledger": (
        *((Ledger, "positions"), (Ledger, "leases"), (Ledger, "unfinished")),
        *((Ledger, "start_at"), (Ledger, "request"), (Setbacks, "note_gaps")),
    ),
}
"""What a tick does, by the functions that do it; none of them calls another one."""


@contextlib.contextmanager
def stop_watches() -> Iterator[dict[str, float]]:
    """Seconds spent in each part while the block runs."""
    spent = dict.fromkeys(PARTS, 0.0)
    real = [
        (owner, name, getattr(owner, name)) for pairs in PARTS.values() for owner, name in pairs
    ]

    def watched(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.perf_counter() - began

        return call

    for part, pairs in PARTS.items():
        for owner, name in pairs:
            setattr(owner, name, watched(part, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, function in real:
            setattr(owner, name, function)


def bare_calls(kafka: Kafka, topic: str, partitions: int) -> float:
    """Seconds that the two admin calls take by themselves."""
    began = time.perf_counter()
    for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):
        wanted = {ck.TopicPartition(topic, p): spec for p in range(partitions)}
        for future in kafka.connection.admin.list_offsets(wanted).values():
            future.result(60)
    return time.perf_counter() - began


def tick(settings: Settings) -> tuple[float, dict[str, float]]:
    """Seconds of a tick with connections of its own, as each tick of Dagster has; and its parts."""
    with stop_watches() as spent:
        began = time.perf_counter()
        ports = Ports()
        ports._settings = settings  # noqa: SLF001
        request_ranges(ports)
        took = time.perf_counter() - began
        ports.close()
    return took, spent


def wait_until_it_leads(kafka: Kafka, topic: str, partitions: int) -> None:
    """A topic that was made a moment ago is not known yet, or only a part of it."""
    while True:
        with contextlib.suppress(PettwinError):
            if len(kafka.watermarks(topic)) == partitions:
                kafka.committed(topic, [0])  # makes the broker's own topic of offsets
                return
        time.sleep(0.1)


def measure(address: str, folder: Path, partitions: int, rounds: int) -> None:
    """Print how long ticks of a topic take: the first, those with nothing new, one with all new."""
    name = f"readings-{partitions}"
    given = {"KAFKA_BOOTSTRAP_SERVERS": address, "KAFKA_TOPIC": name}
    state = {"PETTWIN_STATE_DIR": str(folder / name), "KAFKA_CONSUMER_GROUP": name}
    settings = Settings.load(given | state | {"KAFKA_TIMEOUT_S": "60"})
    with Kafka(settings) as kafka:
        kafka.create_topics({name: partitions})
        wait_until_it_leads(kafka, name, partitions)
        producer = kafka.producer()
        ticks = {"first": tick(settings)}
        idle = [(tick(settings), bare_calls(kafka, name, partitions)) for _ in range(rounds)]
        ticks["nothing new"] = min((one for one, _ in idle), key=lambda one: one[0])
        bare_s = min(bare for _, bare in idle)
        for partition in range(partitions):
            producer.produce(name, b"{}", partition=partition)
        producer.flush()
        ticks["all new"] = tick(settings)
    for what, (took, spent) in ticks.items():
        parts = ", ".join(f"{part} {1000 * s:.0f}" for part, s in spent.items() if s)
        print(
            f"{partitions:>6,} partitions, {what:<12} {1000 * took:>7.0f} ms   "
            f"{took / bare_s:>5.1f} of the two bare calls   ({parts})"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, nargs="+", default=[10, 100, 1_000])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for name in Settings.names():
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder, running_kafka(Path(folder), print) as kafka:
        print("\nms of one tick of the sensor, with connections of its own (goal: under 1,000)")
        for partitions in arguments.partitions:
            measure(kafka.address, Path(folder), partitions, arguments.rounds)


if __name__ == "__main__":
    main()
