"""Which metrics there are: every name that was ever sent, with its type, tags and last time.

Names are remembered even where a point was too old.
"""

from typing import Final

from pettwin_pipeline.emulator.buckets import settle
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.series_index import Metric
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

LONGEST_NAME: Final = 200


def every_metric(state: State) -> list[Metric]:
    """All that there are, by name."""
    settle(state)
    return state.points.metrics()


def known_metric(state: State, name: str) -> Metric | None:
    """One, or None."""
    settle(state)
    return state.points.metric(name)


def find_metric(state: State, name: str) -> Metric:
    """A metric that was sent.

    Raises:
        Refusal: 400 it is no name, 404 it was never sent.
    """
    check_name(name)
    found = known_metric(state, name)
    if found is None:
        raise not_found(f"{name} not found")
    return found


def find_of_metric(state: State, kind: str, name: str, missing: str) -> Document:
    """What is kept of a kind under the name of a metric.

    Raises:
        Refusal: 400 it is no name, 404 there is nothing; `missing` says so.
    """
    check_name(name)
    found = state.storage.get(kind, name)
    if found is None:
        raise not_found(missing)
    return found


def is_name(name: str) -> bool:
    """Whether a metric may be called so."""
    good = name[:1].isalpha() and name.isascii() and len(name) <= LONGEST_NAME
    return good and all(letter.isalnum() or letter in "._" for letter in name)


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a metric.

    Raises:
        Refusal: 400.
    """
    if not is_name(name):
        refuse(
            "Invalid metric name: metric name must start with a letter and only contain letters, "
            "numbers, dots, and underscores"
        )
