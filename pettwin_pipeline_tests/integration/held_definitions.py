"""The product's definitions, whose runs can be held at named points of their way.

Loaded by a code server and by each run that it starts, in place of `pettwin_pipeline.definitions`:
`up_held.py` sees to that. The folder of the environment variable HELD_RUNS holds the orders, one
file a range: the point at which its run waits. A run that got there writes its process id into a
file `.held` and goes on once that is gone. An order is carried out once: a later attempt of the
same range is not held. The product has no such points: here its functions are wrapped.
"""

import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pettwin_pipeline.definitions import defs
from pettwin_pipeline_tests.integration.dying_worker import POINTS, Point

FOLDER: Final = Path(os.environ["HELD_RUNS"])
_range_of_this_run: list[str] = []


def hold(point: str) -> None:
    """Wait here, if the range of this run is to be held at this point."""
    for text in _range_of_this_run:
        order = FOLDER / f"{text}.order"
        if order.exists() and order.read_text() == point:
            held = FOLDER / f"{text}.held"
            order.write_text(str(os.getpid()))
            order.rename(held)
            while held.exists():
                time.sleep(0.05)


def arm(name: str, point: Point) -> None:
    """Wrap the function so that a run may be held there."""
    real: Callable[..., Any] = getattr(point.owner, point.name)

    @functools.wraps(real)
    def held(*arguments: Any, **named: Any) -> Any:
        if point.name == "begin":  # from then on it is known which range this run works on
            _range_of_this_run[:] = [arguments[1].range.text]
        is_there = not point.path or point.path in str(arguments[1])
        if is_there and point.when == "before":
            hold(name)
        result = real(*arguments, **named)
        if is_there and point.when == "after":
            hold(name)
        return result

    setattr(point.owner, point.name, held)


for name, point in POINTS.items():
    arm(name, point)

__all__ = ["defs"]
