"""An SLO as its resources show it: status, budget left, state. Percent are 0 to 100."""

from dataclasses import dataclass
from typing import Any, Final

from pettwin_pipeline.datadog_protocol import slos
from pettwin_pipeline.datadog_protocol.monitor_syntax import span_s
from pettwin_pipeline.datadog_protocol.slos import Events
from pettwin_pipeline.emulator.evaluating.slo_measures import measured
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

PRECISION: Final = 2
_UNITS: Final = {"metric": "events", "monitor": "seconds", "time_slice": "slices"}
_WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How an SLO stands over a time.

    Args:
        events: good and all; None: nothing is known.
        target: percent.
        warning: percent; None: there is none.
        unit: of the events.
    """

    events: Events | None
    target: float
    warning: float | None
    unit: str

    @property
    def status(self) -> float | None:
        """Percent that was good."""
        return self.events.status if self.events else None

    @property
    def budget_left(self) -> float | None:
        """Percent of the error budget; below zero once it is overdrawn."""
        return None if self.status is None else slos.budget_left(self.status, self.target)

    @property
    def raw_budget_left(self) -> Document | None:
        """How many events, seconds or slices more may be bad."""
        if self.events is None:
            return None
        allowed = self.events.total * (1 - self.target / _WHOLE)
        left = allowed - (self.events.total - self.events.good)
        return {"unit": self.unit, "value": round(left, 6)}

    @property
    def state(self) -> str:
        """no_data, breached, warning or ok."""
        if self.status is None:
            return "no_data"
        if self.status < self.target:
            return "breached"
        return "warning" if self.warning is not None and self.status < self.warning else "ok"


def standing(
    state: State, slo: Document, from_s: float, to_s: float, threshold: Document | None = None
) -> Standing:
    """How an SLO stands from one time to another, against a threshold of its own or its first."""
    against: dict[str, Any] = threshold or {
        "target": slo["target_threshold"],
        "warning": slo.get("warning_threshold"),
    }
    return Standing(
        measured(state, slo, from_s, to_s),
        float(against["target"]),
        None if against.get("warning") is None else float(against["warning"]),
        _UNITS[slo["type"]],
    )


def standing_now(state: State, slo: Document, threshold: Document) -> Standing:
    """How an SLO stands over one of its timeframes, up to now."""
    now_s = state.clock.now_s()
    return standing(state, slo, now_s - (span_s(threshold["timeframe"]) or 0), now_s, threshold)
