"""Readings, episodes and alerts as a batch has them, and the points that came of them."""

from typing import Any, Final, TypeVar

import msgspec
import polars as pl

from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline.metrics.points import Recorder
from pettwin_pipeline.readings.schema import READING_SCHEMA

T = TypeVar("T", bound=msgspec.Struct)
NOW_S = 1_700_000_000.0
Values = dict[tuple[str, ...], tuple[float, ...]]


def drained(recorder: Recorder) -> Values:
    """What was recorded, by name and the values of the tags in the order of their keys."""
    return {
        (point.name, *(value for _, value in point.tags)): point.values
        for point in recorder.drain()
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """Readings at NOW_S of a medium dog called rex, but for what a row says."""
    common = {"pet_id": "rex", "species": "dog", "size": "medium", "time_ms": int(NOW_S * 1000)}
    return pl.DataFrame([common | row for row in rows], schema=READING_SCHEMA)


def episode(**given: Any) -> Episode:
    """A suspicion about a dog that goes on, but for what is given."""
    fields = {"severity": "high", "species": "dog", "ended_ms": None}
    return _filled(Episode, fields | given)


def alert(severity: str) -> Alert:
    """An alert of a severity."""
    return _filled(Alert, {"severity": severity})


_EMPTY: Final[dict[Any, Any]] = {str: "", int: 0, float: 0.0, bool: False, str | None: None}


def _filled(kind: type[T], given: dict[str, Any]) -> T:
    """A struct with what is given, and an empty value for every other field that it needs."""
    needed = (field for field in msgspec.structs.fields(kind) if field.required)
    empty = {field.name: _EMPTY.get(field.type, ()) for field in needed}
    return kind(**(empty | given))
