"""Units as answers to queries tell them."""

from typing import Any, Final

from pettwin_pipeline.datadog_protocol.syntax import Expression, metric_queries
from pettwin_pipeline.emulator.resources import metric_metadata
from pettwin_pipeline.emulator.state import State

_UNITS: Final[dict[str, tuple[int, str, str, float]]] = {
    "bit": (1, "bytes", "b", 0.125),
    "byte": (2, "bytes", "B", 1.0),
    "kibibyte": (3, "bytes", "KiB", 1024.0),
    "mebibyte": (4, "bytes", "MiB", 1048576.0),
    "gibibyte": (5, "bytes", "GiB", 1073741824.0),
    "microsecond": (9, "time", "μs", 1e-6),
    "millisecond": (10, "time", "ms", 1e-3),
    "second": (11, "time", "s", 1.0),
    "minute": (12, "time", "min", 60.0),
    "hour": (13, "time", "hr", 3600.0),
    "day": (14, "time", "day", 86400.0),
    "week": (15, "time", "wk", 604800.0),
    "percent": (17, "percentage", "%", 1.0),
    "request": (19, "network", "req", 1.0),
    "fraction": (76, "percentage", "fraction", 100.0),
    "nanosecond": (77, "time", "ns", 1e-9),
}
"""Name -> number, family, short name, scale. Of others only the name is known."""


def unit_of(name: str | None) -> dict[str, Any] | None:
    """A unit by its name, as it is told."""
    if not name:
        return None
    number, family, short, scale = _UNITS.get(name, (0, "", name, 1.0))
    told = {"id": number} if number else {}
    return {
        **told,
        "family": family,
        "name": name,
        "plural": name if name == "percent" else f"{name}s",
        "scale_factor": scale,
        "short_name": short,
    }


def units_of(state: State, expression: Expression) -> list[dict[str, Any] | None] | None:
    """Unit and what it is per, where all metrics of the expression have the same; else None."""
    found = set()
    for query in metric_queries(expression):
        told = state.storage.get(metric_metadata.KIND, query.metric) or {}
        found.add((told.get("unit"), told.get("per_unit")))
    if len(found) != 1:
        return None
    unit, per = (unit_of(name) for name in found.pop())
    return None if unit is None else [unit, per]
