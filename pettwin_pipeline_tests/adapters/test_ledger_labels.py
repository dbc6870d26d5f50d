"""Labels in the ledger: the later stands, days are due until they are measured, once."""

from typing import Any

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_labels import MOST_DAYS
from pettwin_pipeline.detection.quality import OUTCOMES
from pettwin_pipeline.readings.simulator.labels import Label
from pettwin_pipeline_tests.adapters.ledgers import (
    NOW_S,
    alert,
    begun,
    episode,
    finish,
    requested,
)

PLACE = "labels", "epoch-1"
NOW_MS = round(NOW_S * 1000)
"""2026-03-01 00:00 UTC."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def label(begin_h: float, end_h: float | None, label_id: str = "l1") -> Label:
    begin_ms = NOW_MS + round(begin_h * HOUR_MS)
    end_ms = None if end_h is None else NOW_MS + round(end_h * HOUR_MS)
    return Label(
        label_id=label_id,
        pet_id="rex",
        kind="illness",
        name="fever",
        start_ms=begin_ms,
        end_ms=end_ms,
    )


def quality(**given: Any) -> dict[str, Any]:
    counts = dict.fromkeys(OUTCOMES, 0)
    return {"detector": "ensemble", "species": "dog", "is_enough": True} | counts | given


def keep(ledger: Ledger, *labels: Label, end: int = 1, now_s: float = NOW_S) -> set[str]:
    return ledger.labels.keep(labels, PLACE, {0: end}, now_s)


def test_a_label_changes_the_days_that_it_lies_over_up_to_today(ledger: Ledger) -> None:
    assert keep(ledger, label(-30, -24)) == {"2026-02-27"}
    assert keep(ledger, label(-30, -23, "l2")) == {"2026-02-27", "2026-02-28"}
    assert keep(ledger, label(-1, None, "l3")) == {"2026-02-28", "2026-03-01"}
    assert keep(ledger, label(48, 50, "l4")) == set()
    assert len(keep(ledger, label(-24 * 400, None, "l5"))) == MOST_DAYS


def test_a_label_that_is_taken_back_changes_the_days_that_it_lay_over(ledger: Ledger) -> None:
    keep(ledger, label(-30, -2))
    assert keep(ledger, label(-30, -29)) == {"2026-02-27", "2026-02-28"}
    assert ledger.labels.between(NOW_MS - 3 * HOUR_MS, NOW_MS) == []
    assert ledger.labels.between(NOW_MS - 2 * DAY_MS, NOW_MS) == [label(-30, -29)]


def test_labels_and_how_far_they_were_read_are_kept_together(ledger: Ledger) -> None:
    keep(ledger, label(-2, -1), end=7)
    assert ledger.positions(*PLACE) == {0: 7}
    keep(ledger, end=9)
    assert ledger.positions(*PLACE) == {0: 9}


def test_a_day_is_due_when_its_labels_have_settled_and_until_it_is_measured(
    ledger: Ledger,
) -> None:
    day = "2026-02-28"
    keep(ledger, label(-2, -1))
    assert ledger.labels.due_days(NOW_S - 1, NOW_S) == []
    assert ledger.labels.due_days(NOW_S, NOW_S) == [day]
    ledger.labels.note_asked([day], NOW_S + 5)
    assert ledger.labels.due_days(NOW_S + 9, NOW_S + 4) == []
    assert ledger.labels.due_days(NOW_S + 9, NOW_S + 5) == [day]
    ledger.labels.keep_quality(day, [quality()], NOW_S - 1, NOW_S + 6)
    assert ledger.labels.due_days(NOW_S + 9, NOW_S + 9) == [day]  # a label came meanwhile
    ledger.labels.keep_quality(day, [quality()], NOW_S + 6, NOW_S + 7)
    assert ledger.labels.due_days(NOW_S + 9, NOW_S + 9) == []


def test_windows_are_news_once_and_only_where_they_may_be_published(ledger: Ledger) -> None:
    def news(**given: Any) -> dict[str, int]:
        (one,) = ledger.labels.keep_quality("2026-02-28", [quality(**given)], NOW_S, NOW_S)
        return {name: one[name] for name in OUTCOMES if one[name]}

    assert news(tp=3, is_enough=False) == {}
    assert news(tp=3, tn=10) == {"tp": 3, "tn": 10}
    assert news(tp=3, tn=10) == {}
    assert news(tp=4, fn=1, tn=9) == {"tp": 1, "fn": 1}
    assert news(tp=4, fn=1, tn=10) == {}
    (row,) = ledger.labels.qualities("2026-02-28")
    assert (row["day"], row["tp"], row["tn"]) == ("2026-02-28", 4, 10)
    assert ledger.labels.qualities("2026-03-01") == []


def test_a_lead_is_claimed_by_one(ledger: Ledger) -> None:
    keep(ledger, label(-2, -1), label(-4, -3, "l2"))
    assert ledger.labels.claim_leads({"l1"}) == {"l1"}
    assert ledger.labels.claim_leads({"l1", "l2", "unknown"}) == {"l2"}


def test_an_owner_was_told_from_the_first_alert_of_medium_to_the_end(ledger: Ledger) -> None:
    def batch(at: int, end: int, severity: Any, raised_min: int, ended: bool = False) -> None:
        raised_ms = NOW_MS + raised_min * 60_000
        seen = episode(severity=severity, raised_ms=raised_ms)
        if ended:
            seen = episode(severity=severity, raised_ms=raised_ms, ended_ms=raised_ms)
        raised_at = f"2026-03-01T00:{raised_min:02d}:00.000Z"
        told = alert(f"a-{severity}", severity=severity, raised_at=raised_at)
        record = requested(ledger, (0, at, end))
        lease = begun(ledger, record, f"run-{at}")
        finish(ledger, record, lease, episodes=[seen], alerts=[] if ended else [told])

    until_ms = NOW_MS + HOUR_MS
    batch(0, 1, "low", 1)
    assert ledger.labels.told(NOW_MS, until_ms) == {"statistical": {}, "ensemble": {}}
    batch(1, 2, "medium", 5)
    batch(2, 3, "high", 9)
    going_on = {"rex": [(NOW_MS + 5 * 60_000, until_ms)]}
    assert ledger.labels.told(NOW_MS, until_ms) == {"statistical": going_on, "ensemble": going_on}
    batch(3, 4, "high", 20, ended=True)
    over = {"rex": [(NOW_MS + 5 * 60_000, NOW_MS + 20 * 60_000)]}
    assert ledger.labels.told(NOW_MS, until_ms) == {"statistical": over, "ensemble": over}
    assert ledger.labels.told(NOW_MS + 21 * 60_000, until_ms)["ensemble"] == {}


def test_a_fault_of_the_collar_tells_no_owner(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 1))
    lease = begun(ledger, record, "run")
    finish(ledger, record, lease, episodes=[episode(kind="sensor", severity="medium")])
    assert ledger.labels.told(0, NOW_MS + HOUR_MS)["statistical"] == {}
