"""The headers that tell how many requests are left. Here nothing is ever refused for it.

Datadog counts by organisation and kind of request; the numbers are its defaults where documented
(https://docs.datadoghq.com/api/latest/rate-limits/), else 1,000 a minute. `faults` answers 429.
"""

import re
from typing import Final

PERIOD_S: Final = 60
_USUAL: Final = 1_000
_DOCUMENTED: Final = {"query": 1_600, "events": 1_000, "graph": 60}
_RESOURCE: Final = re.compile(r"/api/(v[12])/([a-z_]+)")


class RateLimits:
    """Counts requests by kind, in windows of a minute."""

    def __init__(self) -> None:
        self._window = -1
        self._counts: dict[str, int] = {}

    def headers(self, path: str, now_s: float) -> dict[str, str]:
        """The headers of one more request; none for what is not the API."""
        match = _RESOURCE.match(path)
        if match is None:
            return {}
        window, into = divmod(int(now_s), PERIOD_S)
        if window != self._window:
            self._window = window
            self._counts.clear()
        name = f"{match[2]}_{match[1]}"
        limit = _DOCUMENTED.get(match[2], _USUAL)
        count = self._counts[name] = self._counts.get(name, 0) + 1
        return {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-period": str(PERIOD_S),
            "x-ratelimit-remaining": str(max(0, limit - count)),
            "x-ratelimit-reset": str(PERIOD_S - into),
            "x-ratelimit-name": name,
        }
