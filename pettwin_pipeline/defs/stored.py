"""What is stored of a done range: its readings with their scores, wherever they lie by now.

In the two files of its batch, or in the file of the hour that they were put into. Nothing of a pet
that was erased since.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pettwin_pipeline.defs.ports import Ports

if TYPE_CHECKING:
    import polars as pl

    from pettwin_pipeline.adapters.ledger_records import RangeRecord
    from pettwin_pipeline.batches import OffsetRange

SCORES: Final = ("status", "score", "flagged", "severity")
"""The columns that scoring adds to those of a reading."""
BATCH_FILES: Final[Sequence[tuple[str, str]]] = (
    ("readings", "parquet"),
    ("scores", "parquet"),
    ("episodes", "json"),
    ("verdicts", "json"),
    ("alerts", "json"),
)
"""What a batch leaves, beside its counts and points."""


def stored_batch(ports: Ports, record: "RangeRecord") -> "pl.DataFrame | None":
    """Readings and scores of a done range, in the order (partition, offset); None: removed."""
    from pettwin_pipeline.adapters.hour_files import HourFiles, hour_of

    one = record.range
    if record.compacted_s is not None and record.finished_s is not None:
        hours = HourFiles(ports.files, one.topic, one.epoch)
        rows = hours.read(hour_of(record.finished_s), [one])
        return None if rows is None else without_erased(ports, rows)
    try:
        readings = ports.files.read_frame(one, "readings")
        scores = ports.files.read_frame(one, "scores")
    except FileNotFoundError:
        return None
    rows = readings.join(
        scores.select("partition", "offset", *SCORES),
        on=["partition", "offset"],
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    return without_erased(ports, rows)


def stored_hours(
    ports: Ports, records: "Sequence[RangeRecord]", columns: list[str]
) -> "Iterator[pl.DataFrame | None]":
    """Some columns of the readings of done ranges, in pieces; None for each that was removed.

    The file of an hour is read once for all of its ranges.
    """
    from pettwin_pipeline.adapters.files import parse_frame
    from pettwin_pipeline.adapters.hour_files import HourFiles, hour_of

    needed = [*{*columns, "pet_id", "kafka_ms"}]  # as much as tells what was erased
    together: dict[tuple[str, str, int], list[OffsetRange]] = {}
    for record in records:
        one = record.range
        if record.compacted_s is not None and record.finished_s is not None:
            place = one.topic, one.epoch, hour_of(record.finished_s)
            together.setdefault(place, []).append(one)
            continue
        content = ports.files.read_bytes(ports.files.path(one, "readings", "parquet"))
        yield None if content is None else without_erased(ports, parse_frame(content, needed))
    for (topic, epoch, hour_s), ranges in together.items():
        rows = HourFiles(ports.files, topic, epoch).read(hour_s, ranges, needed)
        yield None if rows is None else without_erased(ports, rows)


def remove_stored(
    ports: Ports, one: "OffsetRange", names: Sequence[tuple[str, str]] = BATCH_FILES
) -> int:
    """Remove files of a batch, those that are there; how many."""
    paths = [ports.files.path(one, what, suffix) for what, suffix in names]
    there = [path for path in paths if path.exists()]
    for path in there:
        path.unlink(missing_ok=True)
    return len(there)


def without_erased(ports: Ports, readings: "pl.DataFrame") -> "pl.DataFrame":
    """Drop what came from erased pets before they were erased."""
    import polars as pl

    from pettwin_pipeline.adapters.ledger_upkeep import erased_pets

    erasures = ports.ledger.upkeep.erasures()
    if not erasures:
        return readings
    erased = erased_pets(erasures, readings["pet_id"].unique().to_list())
    for pet_id, erased_s in erased.items():
        came_before = (pl.col("pet_id") == pet_id) & (pl.col("kafka_ms") <= erased_s * 1000)
        readings = readings.filter(~came_before)
    return readings
