"""The picture of a backtest: what was read, and where something was found."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl

from pettwin_pipeline.detection.hearts import SEVERITIES
from pettwin_pipeline.detection.recording import Backtested, EpisodeRow

SHOWN_PETS: Final = 6
POINTS: Final = 2000
"""Stretches that a line is thinned to: of each its lowest and highest value."""
SHOWN_EPISODES: Final = 300
INK, LINE = "#444444", "#7f8fa6"
COLOURS: Final = {"low": "#f6c667", "medium": "#ef8354", "high": "#c0392b", "critical": "#7b1e1e"}
SENSOR: Final = "#95a5a6"
DRAWN: Final = ("value", "heart_rate", "gait_symmetry", "activity_score", "sleep_quality")


def draw(rows: pl.DataFrame, result: Backtested, threshold: float) -> bytes:
    """A PNG: the worst pets, each its first signal over time, with episodes shaded; the scores."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = [name for name in DRAWN if name in rows.columns and rows[name].null_count() < len(rows)]
    readings = rows.hstack(result.scores.select("score")).filter(pl.col("problem").is_null())
    pets = _worst_pets(readings["pet_id"], result.episodes)
    figure = Figure(figsize=(11, 1.2 + 1.9 * len(pets)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.atleast_1d(figure.subplots(len(pets), 1, squeeze=False)[:, 0])
    for axes, pet in zip(panels, pets, strict=True):
        mine = readings.filter(pl.col("pet_id") == pet).sort("time_ms")
        episodes = [one for one in result.episodes if one.pet_id == pet]
        _panel(axes, mine, drawn[0] if drawn else None, episodes, threshold)
    figure.suptitle(
        "Episodes: yellow low, orange medium, red high or critical, grey sensor. "
        "Not veterinary advice.",
        fontsize=8,
        color=INK,
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _worst_pets(pets: pl.Series, episodes: Sequence[EpisodeRow]) -> list[str]:
    weight = dict.fromkeys(pets.unique(maintain_order=True).to_list(), 0)
    for one in episodes:
        if one.kind == "health":
            weight[one.pet_id] += 10 ** SEVERITIES.index(one.severity)
    return sorted(weight, key=lambda pet: -weight[pet])[:SHOWN_PETS]


def _panel(
    axes: Any,
    mine: pl.DataFrame,
    signal: str | None,
    episodes: Sequence[EpisodeRow],
    threshold: float,
) -> None:
    times = mine["time_ms"].to_numpy()
    end_ms = int(times[-1])
    if signal is not None:
        at, values = _thin(times, mine[signal].cast(pl.Float64).to_numpy())
        axes.plot([_moment(one) for one in at], values, color=LINE, linewidth=0.7)
    score = axes.twinx()
    at, values = _thin(times, mine["score"].to_numpy())
    score.plot([_moment(one) for one in at], values, color=INK, linewidth=0.5, alpha=0.6)
    score.axhline(threshold, color=INK, linewidth=0.5, linestyle=":")
    score.set_ylim(0, max(2.5 * threshold, 1.1 * float(np.max(values, initial=0.0))))
    score.set_ylabel("score", fontsize=7, color=INK)
    for one in episodes[:SHOWN_EPISODES]:
        colour = COLOURS[one.severity] if one.kind == "health" else SENSOR
        ended_ms = end_ms if one.ended_ms is None else one.ended_ms
        if ended_ms > one.started_ms:
            span = _moment(one.started_ms), _moment(ended_ms)
            axes.axvspan(*span, color=colour, alpha=0.3, linewidth=0)
        else:
            axes.axvline(_moment(one.raised_ms), color=colour, linewidth=0.9)
    name = str(mine["pet_id"][0])[:60]
    axes.set_title(f"{name}: {signal or 'nothing'}", fontsize=8, loc="left", parse_math=False)
    for one in (axes, score):
        one.tick_params(labelsize=7, colors=INK)
        one.spines["top"].set_visible(False)


def _thin(times: Any, values: Any) -> tuple[Any, Any]:
    """The lowest and highest value of each stretch, in the order of time."""
    keep = np.isfinite(values)
    times, values = times[keep], values[keep]
    if len(times) <= 2 * POINTS:
        return times, values
    edges = np.linspace(0, len(times), POINTS + 1).astype(np.int64)[:-1]
    low, high = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    return np.repeat(times[edges], 2), np.stack([low, high], axis=1).ravel()


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(int(time_ms) / 1000, tz=UTC)
