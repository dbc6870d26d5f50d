"""The one source of chance: ids and tokens. Seeded for a repeatable run, else the system's own."""

import random
import uuid
from typing import Final

_READABLE: Final = "23456789abcdefghijkmnpqrstuvwxyz"
LARGEST_EXACT: Final = 2**53
"""Above it a JSON number loses digits in many readers."""


class Dice:
    """Draws ids in the forms that Datadog's have."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()  # noqa: S311 - a seed is for tests

    def dashboard_id(self) -> str:
        """`abc-def-ghi`, without letters that look like digits."""
        drawn = "".join(self._random.choice(_READABLE) for _ in range(9))
        return f"{drawn[:3]}-{drawn[3:6]}-{drawn[6:]}"

    def number(self, digits: int = 9) -> int:
        """A whole number of so many digits, below 2^53."""
        return min(self._random.randrange(10 ** (digits - 1), 10**digits), LARGEST_EXACT - 1)

    def widget_id(self) -> int:
        """A number of 15 digits or so."""
        return self._random.randrange(10**13, LARGEST_EXACT)

    def long_number(self) -> int:
        """A number of 19 digits, as events have: more than a JSON number holds exactly."""
        return self._random.randrange(10**18, 2**63)

    def share(self) -> float:
        """From 0 to 1, without 1."""
        return self._random.random()

    def hexadecimal(self, digits: int) -> str:
        """Lower-case hexadecimal digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """A random UUID (version 4)."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
