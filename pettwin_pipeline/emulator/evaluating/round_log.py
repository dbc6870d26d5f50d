"""How the rounds went: what a person asks first when a monitor says nothing."""

import threading
from typing import Any


class RoundLog:
    """The last round, and what could not be evaluated. Safe to use from several threads."""

    def __init__(self) -> None:
        """No round yet."""
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._rounds = 0
            self._evaluated = 0
            self._took_s = 0.0
            self._problems: dict[int, str] = {}

    def round_over(self, evaluated: int, took_s: float, problems: dict[int, str]) -> None:
        """Remember a round.

        Args:
            evaluated: how many monitors were due.
            took_s: how long it took.
            problems: by the id of a monitor, why it could not be evaluated.
        """
        with self._lock:
            self._rounds += 1
            self._evaluated += evaluated
            self._took_s = took_s
            self._problems = problems

    def told(self) -> dict[str, Any]:
        """As `/_local/evaluation` shows it."""
        with self._lock:
            problems = [
                {"monitor_id": monitor_id, "why": why} for monitor_id, why in self._problems.items()
            ]
            return {
                "rounds": self._rounds,
                "evaluations": self._evaluated,
                "last_round_took_s": round(self._took_s, 4),
                "not_evaluated": problems,
            }
