"""Which metrics there are: every name that was ever sent, with its type, tags and last time.

The points themselves are kept elsewhere. Names are remembered even where a point was too old.
"""

from typing import Final

from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "metric"
_MOST_TAGS: Final = 1_000
LONGEST_NAME: Final = 200


def saw_metric(state: State, name: str, kind: str, tags: list[str], host: str | None) -> None:
    """Remember that a metric was sent."""
    before = state.storage.get(KIND, name) or {"name": name, "tags": [], "hosts": []}
    tags = sorted({*before["tags"], *tags})[:_MOST_TAGS]
    hosts = sorted({*before["hosts"], *({host} if host else ())})[:_MOST_TAGS]
    told = {"type": kind, "tags": tags, "hosts": hosts, "seen_s": int(state.clock.now_s())}
    state.storage.put(KIND, name, {**before, **told})


def find_metric(state: State, name: str) -> Document:
    """A metric that was sent.

    Raises:
        Refusal: 400 it is no name, 404 it was never sent.
    """
    return find_of_metric(state, KIND, name, f"{name} not found")


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
