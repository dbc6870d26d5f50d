"""A progress bar where somebody looks, a line now and then where nobody does."""

import time
from collections.abc import Callable
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

LINE_EVERY_S: Final = 15.0


class Progress:
    """Shows how far a long work is, on standard error.

    Args:
        what: the work, in one word.
        total: of the unit in which `advance_to` counts.
        say: takes a line for people, where there is no terminal.
        line_every_s: between two such lines.
    """

    def __init__(
        self,
        what: str,
        total: float,
        say: Callable[[str], None],
        line_every_s: float = LINE_EVERY_S,
    ) -> None:
        console = Console(stderr=True)
        self._on_terminal = console.is_terminal
        self._what, self._total, self._line = what, total, say
        self._line_every_s = line_every_s
        self._next_line_s = time.monotonic() + line_every_s
        columns: tuple[Any, ...] = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self._bar = Bar(*columns, console=console, disable=not self._on_terminal, transient=True)
        self._task = self._bar.add_task(what, total=total, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self._on_terminal:
            self._bar.console.print(line, highlight=False, markup=False)
        else:
            self._line(line)

    def advance_to(self, done: float, note: str = "") -> None:
        """So much is done."""
        self._bar.update(self._task, completed=done, note=note)
        if not self._on_terminal and time.monotonic() >= self._next_line_s:
            self._next_line_s = time.monotonic() + self._line_every_s
            self._line(f"{self._what}: {100 * done / self._total:.0f} %, {note}")
