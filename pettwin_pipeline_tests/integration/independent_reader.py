"""What came of a stream, seen without the product: plain consumers, Parquet files, nothing of ours.

`faults` holds it against what came of the same messages where nobody was killed.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import confluent_kafka as ck
import polars as pl

from pettwin_pipeline_tests.stack.programs import wait_for

PATIENCE_S: Final = 60.0
PLACE: Final = ["partition", "offset"]
COLUMNS: Final = [*PLACE, "pet_id", "time_ms", "status", "score", "flagged"]


class Outcome(NamedTuple):
    """What a reader of committed messages and of the files sees."""

    scores: pl.DataFrame
    """Of every file that is there, in the order (partition, offset)."""
    alerts: list[bytes]
    letters: set[bytes | None]
    """What the dead letters were: they are sent at least once."""
    committed: dict[int, int]
    ends: dict[int, int]


def outcome(kafka: str, names: Mapping[str, str], data: Path) -> Outcome:
    """What came of a stream.

    Args:
        kafka: `host:port`.
        names: the settings KAFKA_TOPIC, KAFKA_ALERTS_TOPIC, KAFKA_CONSUMER_GROUP.
        data: folder of the Parquet files.
    """
    topic = names["KAFKA_TOPIC"]
    alerts = [one.value() for one in messages(kafka, names["KAFKA_ALERTS_TOPIC"])]
    return Outcome(
        scores=_scores(data, topic),
        alerts=sorted(one for one in alerts if one is not None),
        letters={one.value() for one in messages(kafka, f"{topic}.dlq")},
        committed=committed(kafka, names["KAFKA_CONSUMER_GROUP"], topic),
        ends=ends(kafka, topic),
    )


def _scores(data: Path, topic: str) -> pl.DataFrame:
    """Of the files of the batches, and of the hours that they were put together into."""
    batches = sorted((data / "v1/scores" / topic).rglob("*.parquet"))
    frames = [pl.read_parquet(path) for path in batches]
    hours = sorted((data / "v1/hours" / topic).rglob("*.parquet"))
    frames += [pl.read_parquet(path, columns=COLUMNS) for path in hours]
    return pl.concat(frames).select(COLUMNS).sort(PLACE)


def consumer(kafka: str, **more: Any) -> ck.Consumer:
    """A consumer as anybody would make one, of committed messages."""
    config = {"bootstrap.servers": kafka, "group.id": "independent", "log_level": 0}
    reading = {"isolation.level": "read_committed", "enable.auto.commit": False}
    return ck.Consumer({**config, **reading, **more})


def _watermarks(reader: ck.Consumer, topic: str) -> dict[int, tuple[int, int]]:
    partitions = reader.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    return {
        p: reader.get_watermark_offsets(ck.TopicPartition(topic, p), timeout=PATIENCE_S)
        for p in partitions
    }


def ends(kafka: str, topic: str) -> dict[int, int]:
    """Where the partitions end, those without messages left out."""
    reader = consumer(kafka, **{"isolation.level": "read_uncommitted"})
    found = {p: high for p, (_low, high) in _watermarks(reader, topic).items() if high}
    reader.close()
    return found


def messages(kafka: str, topic: str) -> list[ck.Message]:
    """Every committed message, once every transaction has ended."""
    wanted = ends(kafka, topic)
    reader = consumer(kafka, **{"enable.partition.eof": True})
    wait_for(
        lambda: all(_watermarks(reader, topic)[p][1] == end for p, end in wanted.items()),
        PATIENCE_S,
    )
    reader.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in wanted])
    found: list[ck.Message] = []
    left = set(wanted)

    def read() -> bool:
        for one in reader.consume(10_000, 0.05) if left else []:
            if one.error() is None:
                found.append(one)
            else:  # the end of a partition
                assert one.error().code() == ck.KafkaError._PARTITION_EOF, one.error()
                left.discard(one.partition())
        return not left

    wait_for(read, PATIENCE_S)
    reader.close()
    return sorted(found, key=lambda one: (one.partition(), one.offset()))


def committed(kafka: str, group: str, topic: str) -> dict[int, int]:
    """Offsets that a group committed."""
    reader = consumer(kafka, **{"group.id": group})
    partitions = reader.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    places = [ck.TopicPartition(topic, p) for p in partitions]
    found = reader.committed(places, timeout=PATIENCE_S)
    reader.close()
    return {one.partition: one.offset for one in found if one.offset >= 0}


def faults(seen: Outcome, undisturbed: Outcome) -> list[str]:
    """What is not as it would be had nobody been killed; nothing is how it should be."""
    found = []
    twice = seen.scores.filter(pl.struct(PLACE).is_duplicated())
    if len(twice):
        found.append(f"{len(twice)} scores of readings that were scored twice:\n{twice}")
    elif not _same(seen.scores, undisturbed.scores):
        found.append(_difference(seen.scores, undisturbed.scores))
    ids = Counter(json.loads(one)["alert_id"] for one in seen.alerts)
    if repeated := [one for one, times in ids.items() if times > 1]:
        found.append(f"alerts that came twice: {repeated}")
    elif seen.alerts != undisturbed.alerts:
        found.append(f"{len(seen.alerts)} alerts instead of {len(undisturbed.alerts)}, or others")
    if seen.letters != undisturbed.letters:
        found.append(f"{len(seen.letters)} dead letters instead of {len(undisturbed.letters)}")
    if seen.committed != seen.ends:
        found.append(f"committed are {seen.committed}, the partitions end at {seen.ends}")
    if seen.ends != undisturbed.ends:
        found.append(f"other messages were sent: {seen.ends}, not {undisturbed.ends}")
    return found


def _same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Whether two frames have the same bytes."""
    return one.rechunk().write_ipc(None).getvalue() == other.rechunk().write_ipc(None).getvalue()


def _difference(seen: pl.DataFrame, wanted: pl.DataFrame) -> str:
    missing = wanted.join(seen, on=PLACE, how="anti")
    new = seen.join(wanted, on=PLACE, how="anti")
    both = seen.join(wanted, on=PLACE, suffix="_wanted")
    names = [name for name in wanted.columns if name not in PLACE]
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_wanted")) for name in names)
    differ = both.filter(other)
    return (
        f"scores: {len(missing)} missing, {len(new)} too many, {len(differ)} others:\n"
        f"{missing}\n{new}\n{differ}"
    )
