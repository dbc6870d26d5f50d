"""Faults on request: this path answers 429, that one 500, another late, for so many requests.

One is not of requests: a share of the lines of DogStatsD is lost, as datagrams are on a network.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from pettwin_pipeline.emulator.refusals import Refusal, bad_request

LONGEST_DELAY_S: Final = 60.0
DROP: Final = "drop_dogstatsd"
KINDS: Final = ("rate_limit", "error", "delay", DROP)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to requests whose path begins with `prefix`, `left` times more."""

    prefix: str
    kind: str
    """`rate_limit`: 429 with its headers. `error`: `status`. `delay`: answered after `seconds`.
    `drop_dogstatsd`: a `share` of the lines is lost, until it is switched off."""
    left: int
    status: int = 500
    seconds: float = 1.0
    """Of a delay; of a rate limit, until it is over."""
    share: float = 0.0
    """Of lines that are lost."""


def parse_fault(told: dict[str, Any]) -> Fault:
    """A fault from JSON: `kind`, and if wanted `prefix`, `count`, `status`, `seconds`.

    Raises:
        Refusal: 400, which says what is wrong.
    """
    kind = told.get("kind")
    if kind not in KINDS:
        raise bad_request(f"kind should be one of {', '.join(KINDS)}")
    known = {"kind", "share"} if kind == DROP else {"kind", "prefix", "count", "status", "seconds"}
    if unknown := told.keys() - known:
        raise bad_request(f"unknown: {', '.join(sorted(unknown))}")
    if kind == DROP:
        return _parse_drop(told)
    count, status = told.get("count", 1), told.get("status", 500)
    seconds, prefix = told.get("seconds", 1.0), told.get("prefix", "/api/")
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise bad_request("count should be a whole number from 1 on")
    if not isinstance(status, int) or not 400 <= status <= 599:  # noqa: PLR2004
        raise bad_request("status should be 400 to 599")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= LONGEST_DELAY_S:
        raise bad_request(f"seconds should be 0 to {LONGEST_DELAY_S:g}")
    if not isinstance(prefix, str) or not prefix.startswith("/"):
        raise bad_request("prefix should be a path, /api/v1/monitor for example")
    return Fault(prefix, kind, count, status, float(seconds))


def _parse_drop(told: dict[str, Any]) -> Fault:
    share = told.get("share")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        raise bad_request("share should be above 0 and at most 1")
    return Fault("", DROP, left=0, share=float(share))


class Faults:
    """The faults that are on."""

    def __init__(self) -> None:
        self._on: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch one on; of two that fit, the one that came first acts."""
        self._on.append(fault)

    def take(self, path: str) -> Fault | None:
        """The fault that this request meets, counted; the control plane meets none."""
        if path.startswith("/_local/"):
            return None
        for place, fault in enumerate(self._on):
            if fault.kind != DROP and path.startswith(fault.prefix):
                if fault.left == 1:
                    del self._on[place]
                else:
                    self._on[place] = replace(fault, left=fault.left - 1)
                return fault
        return None

    @property
    def dropped_share(self) -> float:
        """Of the lines of DogStatsD that are lost."""
        return max((fault.share for fault in self._on), default=0.0)

    def on(self) -> list[Fault]:
        """Those that are on."""
        return list(self._on)

    def clear(self) -> None:
        """Switch all off."""
        self._on.clear()


def refusal_of(fault: Fault) -> Refusal | None:
    """What a fault answers; None where it only delays."""
    if fault.kind == "rate_limit":
        reset = str(max(1, round(fault.seconds)))
        headers = {
            "x-ratelimit-limit": "1",
            "x-ratelimit-period": reset,
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": reset,
            "x-ratelimit-name": "local_fault",
        }
        return Refusal(429, "Too many requests", headers=headers)
    if fault.kind == "error":
        return Refusal(fault.status, "Local fault, switched on under /_local/faults")
    return None
