"""Small pictures for the metadata of a run, drawn with matplotlib where no browser draws."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pettwin_pipeline.detection.episodes import Episode

_INK, _PULSE = "#444444", "#c0392b"


def show_worst_episode(episodes: "Sequence[Episode]") -> Mapping[str, Any]:
    """The most severe episode as a picture and its reason; nothing without one."""
    from pettwin_pipeline.detection.hearts import SEVERITIES

    going_on = [one for one in episodes if one.ended_ms is None and one.recent_bpm]
    if not going_on:
        return {}
    worst = max(going_on, key=lambda one: (SEVERITIES.index(one.severity), one.peak))
    return {
        "worst_episode": show_png(worst.pet_id, draw_episode(worst)),
        "worst_episode_reason": f"{worst.pet_id}: {worst.reason}",
    }


def show_png(title: str, image: bytes) -> dg.MarkdownMetadataValue:
    """A picture as metadata."""
    return dg.MetadataValue.md(
        f"![{title}](data:image/png;base64,{base64.b64encode(image).decode()})"
    )


def draw_quality(
    day: str, rows: Sequence[Mapping[str, Any]], trend: Sequence[Mapping[str, Any]]
) -> bytes:
    """Shares of a day with their intervals, and how they were on the days before, as a PNG.

    Args:
        day: ISO 8601.
        rows: of each detector, all species together, as `detection.quality.figures` writes them.
        trend: the same of several days, each with its `day`.
    """
    from pettwin_pipeline.detection.quality import OUTCOMES, SHARES

    figure = _figure(9.0, 3.0)
    left, right = figure.subplots(1, 2)
    for number, one in enumerate(rows):
        at = [place + 0.16 * (number - (len(rows) - 1) / 2) for place in range(len(SHARES))]
        _draw_estimates(left, at, [one[name] for name in SHARES], number, one["detector"])
    left.set_xticks(range(len(SHARES)), SHARES)
    first = rows[0]
    windows = sum(first[name] for name in OUTCOMES)
    told = f"{day}: {windows} pet-windows, {first['labels']} labels"
    left.set_title(told, loc="left", fontsize=9)
    ensemble = [one for one in trend if one["detector"] == rows[-1]["detector"]]
    for number, name in enumerate(("recall", "precision")):
        at = [place + 0.25 * number for place in range(len(ensemble))]
        _draw_estimates(right, at, [one[name] for one in ensemble], number, name)
    step = max(1, len(ensemble) // 6)
    right.set_xticks(range(0, len(ensemble), step), [o["day"][5:] for o in ensemble[::step]])
    right.set_title(f"{rows[-1]['detector']}, by day", loc="left", fontsize=9)
    for axes, places in ((left, len(SHARES)), (right, len(ensemble))):
        axes.set_ylim(0, 1.02)
        axes.set_xlim(-0.5, places - 0.3)  # a place for what has no value too
        axes.tick_params(labelsize=8, colors=_INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, frameon=False, loc="lower left")
    return _png(figure)


def _draw_estimates(
    axes: "Axes",
    at: Sequence[float],
    found: Sequence[Sequence[float] | None],
    number: int,
    label: str,
) -> None:
    """Points with their intervals, in the colour of a number; what has no value is left out."""
    known = [(x, one) for x, one in zip(at, found, strict=True) if one is not None]
    values = [one[0] for _, one in known]
    low = [max(0.0, one[0] - one[1]) for _, one in known]
    high = [max(0.0, one[2] - one[0]) for _, one in known]
    colour = (_PULSE, _INK)[number % 2]
    axes.errorbar(
        [x for x, _ in known],
        values,
        yerr=[low, high],
        fmt="o",
        markersize=4,
        capsize=3,
        color=colour,
        label=label,
    )


def _figure(width: float, height: float) -> "Figure":
    """An empty one that no screen is needed for, inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_episode(episode: "Episode") -> bytes:
    """The last minutes of heart rate against the pet's own level, as a PNG."""
    figure = _figure(5.2, 2.2)
    axes = figure.add_subplot()
    minutes = [(i - len(episode.recent_bpm) + 1) / 6 for i in range(len(episode.recent_bpm))]
    axes.plot(minutes, episode.recent_bpm, color=_PULSE, marker=".", label="heart rate")
    axes.axhline(episode.level_bpm, color=_INK, linestyle="--", label="this pet's level")
    axes.set_xlabel("minutes before the alert", color=_INK, fontsize=8)
    axes.set_ylabel("beats a minute", color=_INK, fontsize=8)
    axes.tick_params(labelsize=8, colors=_INK)
    axes.set_title(
        f"{episode.pet_id}: {episode.severity}", loc="left", fontsize=9, parse_math=False
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="best")
    return _png(figure)
