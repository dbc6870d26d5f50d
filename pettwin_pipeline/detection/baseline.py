"""What is normal for one pet, and what is remembered of its last minutes: the state of the screen.

One fixed-size record a pet, so that a million pets are one array. The record holds the open slot
and block, the ring of slot means at rest, levels, averages, and what is going on. Knows how it is
kept as bytes; the rules that move it are in `slots`, `blocks`, `trend`, `rest`,
`deviation`, `hearts` and `screen`.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from pettwin_pipeline.detection.clinical import UNSAID, USUAL
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline.readings.schema import SIZES

BASELINE_FORMAT: Final = 2
NEVER: Final = -(2**62)
"""A slot before all slots."""
RING: Final = 24
"""Slots that the medians look back on: 4 minutes."""
PRIOR_WEIGHT: Final = 24
"""Slots that the usual heart rate of the species counts for."""
USUAL_GAIT: Final = 0.96

LEARNT: Final = (
    *("level", "weight"),
    *("week", "week_n", "week_spread", "week_spread_n"),
    *("gait", "gait_n"),
)
"""The fields that were learnt over days; the others are about the last minutes and hours."""

StateArray = npt.NDArray[Any]
IndexArray = npt.NDArray[np.int64]

STATE: Final = np.dtype(
    [
        ("species", "<u1"),  # index into SPECIES
        ("size", "<u1"),  # index into SIZES
        ("last_ms", "<i8"),  # latest event time seen
        ("slot", "<i8"),  # the open slot; NEVER before the first reading
        ("sums", "<i8", (14,)),  # of the open slot, see slots.SUMMED
        ("said", "<u1"),  # of the open slot, see clinical.profile_codes
        ("ring", "<f4", (RING,)),  # means of log(bpm) of slots at rest, newest last
        ("ring_awake", "<u4"),  # which of them were awake, newest in the lowest bit
        ("ring_n", "<u1"),
        ("ring_slot", "<i8"),  # slot of the newest value in the ring
        ("active_until", "<i8"),  # slots up to here belong to exercise and its end
        ("level", "<f8", (2,)),  # slow level of log(bpm) at rest: asleep, awake
        ("weight", "<i4", (2,)),  # slots that each of them counts for
        ("frozen", "<i4"),  # slots since the levels stopped learning
        ("alarm", "?", (4,)),  # fast high, fast low, slow high, slow low
        ("heard", "?"),  # a heart rate has ever come
        ("missing", "<f4"),  # share of readings without one, over the last minutes
        ("stuck", "<u1"),  # slots in which it stood still while the pet moved
        ("same", "<i8"),  # heart rate and activity of the last slot
        ("moved", "<f8"),
        ("block", "<i8"),  # the open block; NEVER before the first slot
        ("block_sums", "<i8", (20,)),  # see blocks.FIELDS
        ("block_low", "<i8"),  # lowest and highest heart rate of the open block
        ("block_high", "<i8"),
        ("active_before", "<u1"),  # active slots of the last block
        ("week", "<f8", (2,)),  # level of the last 7 days: asleep, lying awake
        ("week_n", "<u2", (2,)),  # blocks that each of them counts for
        ("week_spread", "<f4", (2,)),  # level of the log spread from beat to beat
        ("week_spread_n", "<u2", (2,)),
        ("average", "<f4", (3,)),  # of deviations over the windows of trend
        ("average_spread", "<f4", (3,)),
        ("trend_n", "<u1"),  # blocks that they count for
        ("trend_level", "<f4"),  # what was normal in the last block at rest
        ("trend_frozen", "<u2"),  # blocks since the week stopped learning
        ("trend_window", "<u1"),  # which of the windows says most
        ("gait", "<f4"),  # level of gait_symmetry while moving
        ("gait_n", "<u2"),
        ("gait_average", "<f4"),
        ("walked", "?"),  # in the last block
        ("trend", "<f4", (3,)),  # evidence over threshold: high, low, limp
        ("trend_up", "?", (3,)),
        ("fault", "?", (6,)),  # going on, see sensors.FAULTS
        ("fault_since", "<i8", (6,)),  # its first block
        ("fault_last", "<i8", (6,)),  # the last block with it
        ("fault_run", "<u1", (6,)),
        ("fault_calm", "<u1", (6,)),
        ("going", "?", (3,)),  # an episode is going on: heart high, heart low, limp
        ("started", "<i8", (3,)),  # its first slot
        ("last_up", "<i8", (3,)),  # the last slot of it with an alarm
        ("quiet", "<u1", (3,)),  # slots judged since then
        ("weak", "<u1", (2,)),  # slots judged since the heart was more than a little off
        ("severity", "<u1", (3,)),  # told so far
        ("peak", "<f4", (3,)),
        ("score", "<f4"),  # after the last closed slot
        ("worst", "<u1"),  # severity of what is going on, an index into SEVERITIES; 0: nothing
    ]
)


@dataclass(frozen=True, slots=True)
class Baselines:
    """The states of some pets, sorted by pet id.

    Attributes:
        pet_ids: strings, sorted and unique, n of them.
        states: `STATE` records, shape (n,).
    """

    pet_ids: pl.Series
    states: StateArray

    @classmethod
    def empty(cls) -> "Baselines":
        """No pets yet."""
        return cls(pl.Series("pet_id", [], pl.String), np.zeros(0, STATE))

    def with_pets(self, pet_ids: pl.Series) -> tuple["Baselines", IndexArray]:
        """Add the pets that are new, and say where each of these lies.

        Args:
            pet_ids: of readings: in any order, repeated.

        Returns:
            New baselines (the states are copied), and the row of each pet id, its shape.
        """
        rows = _rows(pet_ids, self.pet_ids)
        if not rows.has_nulls():
            return Baselines(self.pet_ids, self.states.copy()), _indices(rows)
        new = pet_ids.filter(rows.is_null()).unique()
        names = pl.concat([self.pet_ids, new.alias("pet_id")])
        order = names.arg_sort().to_numpy()
        states = np.concatenate([self.states, fresh_states(len(new))])[order]
        merged = Baselines(names.gather(order), states)
        return merged, _indices(_rows(pet_ids, merged.pet_ids))


def _rows(wanted: pl.Series, known: pl.Series) -> pl.Series:
    rows = pl.LazyFrame({"pet_id": known}).with_row_index("row")
    asked = pl.LazyFrame({"pet_id": wanted})
    return asked.join(rows, on="pet_id", how="left", maintain_order="left").collect()["row"]


def _indices(rows: pl.Series) -> IndexArray:
    return rows.cast(pl.Int64).to_numpy()


def fresh_states(count: int) -> StateArray:
    """States of pets of which nothing is known."""
    states = np.zeros(count, STATE)
    for name in ("last_ms", "slot", "ring_slot", "active_until", "started", "last_up", "block"):
        states[name] = NEVER
    states["block_low"], states["block_high"] = 2**62, -1
    states["same"], states["gait"] = -1, USUAL_GAIT
    states["species"], states["size"] = divmod(UNSAID, len(SIZES))
    states["said"] = UNSAID
    states["level"] = USUAL[-1, -1]
    states["weight"] = PRIOR_WEIGHT
    return states


class Head(msgspec.Struct, frozen=True):
    """The first line of what is kept: its format, and more."""

    format: int


class _Header(Head, frozen=True):
    pet_ids: list[str] = []


H = TypeVar("H", bound=Head)


def parse_head(line: bytes, kind: type[H], known: int) -> H:
    """The first line of kept baselines.

    Raises:
        UnknownFormatError: it is none, or of another format than this release knows.
    """
    try:
        head = msgspec.json.decode(line, type=kind)
    except msgspec.DecodeError as error:
        raise UnknownFormatError(f"these are no baselines: {error}") from None
    if head.format != known:
        raise UnknownFormatError(f"baselines of format {head.format}; this release knows {known}")
    return head


def encode_baselines(baselines: Baselines) -> bytes:
    """Baselines as bytes, a line of JSON and the records: the same states give the same bytes."""
    header = _Header(BASELINE_FORMAT, baselines.pet_ids.to_list())
    return msgspec.json.encode(header) + b"\n" + baselines.states.tobytes()


def parse_baselines(content: bytes) -> Baselines:
    """The way back from `encode_baselines`.

    Raises:
        UnknownFormatError: written by a release with another format, or not whole.
    """
    head, _, records = content.partition(b"\n")
    header = parse_head(head, _Header, BASELINE_FORMAT)
    if len(records) != len(header.pet_ids) * STATE.itemsize:
        raise UnknownFormatError(f"baselines of {len(header.pet_ids)} pets are not whole")
    return Baselines(
        pl.Series("pet_id", header.pet_ids, pl.String), np.frombuffer(records, STATE).copy()
    )
