"""Small pictures for the metadata of a run, drawn with matplotlib where no browser draws."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from pettwin_pipeline.detection.episodes import Episode

_INK, _PULSE = "#444444", "#c0392b"


def show_worst_episode(episodes: "Sequence[Episode]") -> Mapping[str, Any]:
    """The most severe episode as a picture and its reason; nothing without one."""
    from pettwin_pipeline.detection.hearts import SEVERITIES

    going_on = [one for one in episodes if one.ended_ms is None and one.recent_bpm]
    if not going_on:
        return {}
    worst = max(going_on, key=lambda one: (SEVERITIES.index(one.severity), one.peak))
    image = base64.b64encode(draw_episode(worst)).decode()
    text = f"![{worst.pet_id}](data:image/png;base64,{image})"
    return {
        "worst_episode": dg.MetadataValue.md(text),
        "worst_episode_reason": f"{worst.pet_id}: {worst.reason}",
    }


def draw_episode(episode: "Episode") -> bytes:
    """The last minutes of heart rate against the pet's own level, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 2.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
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
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
