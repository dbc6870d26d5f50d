"""What came of the ranges: episodes as they stand, alerts once, counts that add up."""

import json
from typing import Any

import msgspec
import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.telemetry import Tally
from pettwin_pipeline.detection.alerts import Alert
from pettwin_pipeline.detection.episodes import Episode
from pettwin_pipeline_tests.adapters.ledgers import (
    NOW_S,
    TOPIC,
    alert,
    begun,
    episode,
    finish,
    requested,
)

pytestmark = pytest.mark.usefixtures("database")


def done(ledger: Ledger, start: int, **given: Any) -> None:
    """A range of one offset that came to what is given."""
    record = requested(ledger, (0, start, start + 1))
    finish(ledger, record, begun(ledger, record, f"run-{start}"), **given)


def kept_episodes(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Rows of the table by id, with the body decoded."""
    with ledger._engine.begin() as sql:
        rows = sql.exec_driver_sql("SELECT * FROM episodes").mappings()
        return {row["episode_id"]: dict(row) | {"body": json.loads(row["body"])} for row in rows}


def test_an_episode_is_kept_as_it_stands_now(ledger: Ledger) -> None:
    later = {"severity": "high", "raised_ms": 1_772_323_500_000, "peak": 2.5}
    done(ledger, 0, episodes=[episode("e1"), episode("e2", pet_id="bo")])
    done(ledger, 1, episodes=[episode("e1", **later), episode("e1", **later, ended_ms=99)])
    assert ledger.outcomes.count_episodes() == 2
    kept = kept_episodes(ledger)["e1"]
    assert (kept["severity"], kept["ended_ms"], kept["body"]["peak"]) == ("high", 99, 2.5)
    assert kept["raised_ms"] == episode().raised_ms, "when it was first known"
    assert kept_episodes(ledger)["e2"]["pet_id"] == "bo"


def test_an_alert_is_kept_once(ledger: Ledger) -> None:
    first = alert("a1", severity="low")
    done(ledger, 0, alerts=[first, alert("a2", severity="high"), first])
    done(ledger, 1, alerts=[alert("a1", severity="low", reason="said again"), alert("a3")])
    assert ledger.outcomes.count_alerts() == {"high": 1, "low": 2}
    kept = {one["alert_id"]: one["reason"] for one in ledger.outcomes.alerts(9)}
    assert kept == dict.fromkeys(("a1", "a2", "a3"), "high at rest")


def test_the_latest_alerts_come_first(ledger: Ledger) -> None:
    times = {"a1": "2026-03-01T00:01:00.000Z", "a2": "2026-03-01T00:01:00.001Z"}
    times["a3"] = "2026-03-01T01:00:59+01:00"
    done(ledger, 0, alerts=[alert(name, raised_at=time) for name, time in times.items()])
    assert [one["alert_id"] for one in ledger.outcomes.alerts(2)] == ["a2", "a1"]
    assert ledger.outcomes.alerts(0) == []


def test_an_alert_is_kept_as_it_was_sent(ledger: Ledger) -> None:
    sent = alert(reason='héllo "rex"\n', model=None)
    done(ledger, 0, alerts=[sent])
    (kept,) = ledger.outcomes.alerts(1)
    assert Alert(**kept) == sent


def test_an_episode_is_kept_whole(ledger: Ledger) -> None:
    told = episode(reason="ärger", recent_bpm=(60.0, 61.5))
    done(ledger, 0, episodes=[told])
    body = kept_episodes(ledger)["e1"]["body"]
    assert msgspec.convert(body, Episode) == told


def test_totals_are_sums_over_the_done_ranges(ledger: Ledger) -> None:
    done(ledger, 0, counts={"messages": 3, "late": 0, "active": {"0": {"dog": 3}}, "share": 0.5})
    done(ledger, 1, counts={"messages": 4, "rejects": 1})
    requested(ledger, (0, 2, 9))
    assert ledger.outcomes.totals(TOPIC) == {"messages": 7, "late": 0, "rejects": 1}
    assert ledger.outcomes.totals("other") == {}


def test_tallies_add_up_and_keep_the_last_value(ledger: Ledger) -> None:
    ledger.outcomes.add_tallies({"b": Tally(2, 7.0, NOW_S), "a": Tally(1, 1.0, NOW_S)})
    ledger.outcomes.add_tallies({"b": Tally(3, 5.0, NOW_S + 1)})
    ledger.outcomes.add_tallies({})
    assert ledger.outcomes.tallies() == {
        "a": Tally(1, 1.0, NOW_S),
        "b": Tally(5, 5.0, NOW_S + 1),
    }
    assert list(ledger.outcomes.tallies()) == ["a", "b"]
