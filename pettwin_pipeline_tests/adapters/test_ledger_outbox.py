"""The outbox: once in it, an alert stays until its channel took it, whoever dies meanwhile."""

import json
import threading
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_outbox import (
    CLAIM_S,
    GIVE_UP_AFTER_S,
    Audience,
    Backlog,
    Notification,
)
from pettwin_pipeline.detection.alerts import Alert, encode_alert
from pettwin_pipeline.errors import LeaseLostError
from pettwin_pipeline_tests.adapters.ledgers import (
    NOW_S,
    alert,
    begun,
    finish,
    opened,
    requested,
)

pytestmark = pytest.mark.usefixtures("database")

BOTH = Audience(("webhook", "file"))
FILE = Audience(("file",))


def queue(ledger: Ledger, *alerts: Alert, audience: Audience = FILE, now_s: float = NOW_S) -> None:
    """A range of one offset in which these alerts were raised."""
    start = len(ledger.recent("readings", 99))
    record = requested(ledger, (0, start, start + 1))
    lease = begun(ledger, record, f"run-{start}")
    finish(ledger, record, lease, now_s, alerts=alerts, audience=audience)


def claimed(ledger: Ledger, now_s: float = NOW_S, channel: str = "file") -> Notification:
    """The next one, which must be there."""
    found = ledger.outbox.claim(channel, now_s)
    assert found is not None
    return found


def ids(ledger: Ledger, now_s: float = NOW_S, channel: str = "file") -> list[str]:
    """Ids of everything that is due, claimed."""
    found = []
    while one := ledger.outbox.claim(channel, now_s):
        found.append(one.alert_id)
    return found


def test_a_new_alert_waits_for_each_channel_as_it_is_on_its_topic(ledger: Ledger) -> None:
    sent = alert(reason='héllo "rex"\n')
    queue(ledger, sent, audience=BOTH)
    for channel in ("webhook", "file"):
        one = claimed(ledger, channel=channel)
        assert (one.alert_id, one.channel, one.severity) == ("a1", channel, "low")
        assert one.body == encode_alert(sent)
        assert (one.attempts, one.queued_s) == (1, NOW_S)


def test_without_channels_nobody_is_told(ledger: Ledger) -> None:
    queue(ledger, alert(), audience=Audience())
    assert ledger.outbox.backlog() == {}
    assert ledger.outcomes.count_alerts() == {"low": 1}


@pytest.mark.parametrize(
    ("least", "told"),
    [("low", 4), ("medium", 3), ("high", 2), ("critical", 1)],
)
def test_only_alerts_of_the_least_severity_or_more_are_told(
    ledger: Ledger, least: str, told: int
) -> None:
    severities = ("low", "medium", "high", "critical")
    alerts = [alert(severity, severity=severity) for severity in severities]
    queue(ledger, *alerts, audience=Audience(("file",), least))  # type: ignore[arg-type]
    assert sorted(ids(ledger)) == sorted(severities[-told:])


def test_an_alert_that_the_ledger_knows_is_never_queued_again(ledger: Ledger) -> None:
    queue(ledger, alert("a1"), alert("a1"))
    ledger.outbox.delivered(claimed(ledger), NOW_S)
    queue(ledger, alert("a1"), audience=BOTH)
    assert ledger.outbox.backlog() == {"file": Backlog(delivered=1)}


def test_an_alert_of_before_there_was_a_channel_is_not_told_later(ledger: Ledger) -> None:
    queue(ledger, alert("a1"), audience=Audience())
    queue(ledger, alert("a1"), alert("a2"))
    assert ids(ledger) == ["a2"]


def test_an_alert_that_was_erased_and_is_raised_again_does_not_break_the_range(
    ledger: Ledger,
) -> None:
    queue(ledger, alert("a1"))
    with ledger._engine.begin() as sql:
        sql.exec_driver_sql("DELETE FROM alerts")
    queue(ledger, alert("a1"))
    assert ids(ledger) == ["a1"]


def test_a_run_that_lost_its_lease_queues_nothing(ledger: Ledger) -> None:
    record = requested(ledger, (0, 0, 1))
    lease = begun(ledger, record, "run-1")
    finish(ledger, record, lease)
    with pytest.raises(LeaseLostError):
        finish(ledger, record, lease, alerts=[alert()], audience=FILE)
    assert ledger.outbox.backlog() == {}


def test_a_claim_keeps_others_away_until_it_ends(ledger: Ledger) -> None:
    queue(ledger, alert())
    claimed(ledger)
    assert ledger.outbox.claim("file", NOW_S + CLAIM_S - 0.1) is None
    again = claimed(ledger, NOW_S + CLAIM_S)
    assert (again.alert_id, again.attempts) == ("a1", 2)


def test_a_claim_is_for_one_channel(ledger: Ledger) -> None:
    queue(ledger, alert(), audience=BOTH)
    claimed(ledger, channel="webhook")
    assert ids(ledger) == ["a1"]


def test_the_oldest_comes_first(ledger: Ledger) -> None:
    queue(ledger, alert("b"), now_s=NOW_S - 2)
    queue(ledger, alert("c"), now_s=NOW_S - 1)
    queue(ledger, alert("a"), now_s=NOW_S)
    assert ids(ledger) == ["b", "c", "a"]


def test_one_that_was_tried_in_vain_comes_after_those_that_were_not(ledger: Ledger) -> None:
    queue(ledger, alert("old"), now_s=NOW_S - 60)
    ledger.outbox.failed(claimed(ledger), "no", NOW_S)
    queue(ledger, alert("new"), now_s=NOW_S + 100)
    assert ids(ledger, NOW_S + 100) == ["new", "old"]


def test_a_failed_one_waits_from_5_s_to_5_min(ledger: Ledger) -> None:
    queue(ledger, alert())
    now_s, waits = NOW_S, []
    for _ in range(9):
        assert ledger.outbox.failed(claimed(ledger, now_s), "no", now_s) == "waiting"
        wait_s = next(s for s in range(999) if _is_due(ledger, now_s + s))
        waits.append(wait_s)
        now_s += wait_s
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def _is_due(ledger: Ledger, now_s: float) -> bool:
    with ledger._engine.begin() as sql:
        (at_s,) = sql.exec_driver_sql("SELECT not_before_s FROM outbox").one()
    return bool(at_s <= now_s)


def test_a_receiver_that_asks_for_a_pause_is_left_alone_with_everything(ledger: Ledger) -> None:
    queue(ledger, alert("a"), alert("b"), audience=BOTH)
    ledger.outbox.failed(claimed(ledger), "429", NOW_S, wait_s=1000)
    assert ids(ledger, NOW_S + 999) == []
    assert ids(ledger, NOW_S + 1000) == ["b", "a"]
    assert ids(ledger, NOW_S, "webhook") == ["a", "b"], "another channel goes on"


def test_a_short_pause_does_not_shorten_the_wait_after_a_failure(ledger: Ledger) -> None:
    queue(ledger, alert())
    ledger.outbox.failed(claimed(ledger), "429", NOW_S, wait_s=1)
    assert ids(ledger, NOW_S + 4.9) == []
    assert ids(ledger, NOW_S + 5) == ["a1"]


def test_after_a_day_in_vain_it_is_given_up_and_counted(ledger: Ledger) -> None:
    queue(ledger, alert())
    almost_s, late_s = NOW_S + GIVE_UP_AFTER_S - 1, NOW_S + GIVE_UP_AFTER_S + 300
    assert ledger.outbox.failed(claimed(ledger, almost_s), "no", almost_s) == "waiting"
    assert ledger.outbox.failed(claimed(ledger, late_s), "still no", late_s) == "given_up"
    assert ids(ledger, late_s + 10**6) == []
    assert ledger.outbox.backlog() == {"file": Backlog(given_up=1, error="still no")}


def test_one_that_nobody_tried_for_a_day_is_tried_before_it_is_given_up(ledger: Ledger) -> None:
    queue(ledger, alert())
    assert ids(ledger, NOW_S + 10 * GIVE_UP_AFTER_S) == ["a1"]


def test_what_waits_for_a_channel_that_is_none_any_more_is_given_up_after_a_day(
    ledger: Ledger,
) -> None:
    queue(ledger, alert(), audience=BOTH)
    assert ledger.outbox.give_up_unconfigured(["file"], NOW_S + GIVE_UP_AFTER_S - 1) == 0
    assert ledger.outbox.give_up_unconfigured(["file"], NOW_S + GIVE_UP_AFTER_S) == 1
    backlog = ledger.outbox.backlog()
    assert backlog["webhook"] == Backlog(given_up=1, error="there is no such channel now")
    assert backlog["file"].waiting == 1


def test_a_delivery_that_outlasted_its_claim_counts(ledger: Ledger) -> None:
    queue(ledger, alert())
    slow = claimed(ledger)
    other = claimed(ledger, NOW_S + CLAIM_S)
    ledger.outbox.delivered(slow, NOW_S + CLAIM_S + 1)
    ledger.outbox.failed(other, "no", NOW_S + CLAIM_S + 2)
    assert ledger.outbox.backlog() == {"file": Backlog(delivered=1)}


def test_a_failure_that_outlasted_its_claim_does_not_touch_the_next_attempt(
    ledger: Ledger,
) -> None:
    queue(ledger, alert())
    slow = claimed(ledger)
    claimed(ledger, NOW_S + CLAIM_S)
    ledger.outbox.failed(slow, "no", NOW_S + CLAIM_S + 1)
    assert ids(ledger, NOW_S + 2 * CLAIM_S - 1) == []
    assert ledger.outbox.backlog()["file"].error is None


def test_the_backlog_tells_how_each_channel_stands(ledger: Ledger) -> None:
    queue(ledger, alert("a"), audience=BOTH, now_s=NOW_S - 9)
    queue(ledger, alert("b"), alert("c"), audience=BOTH)
    ledger.outbox.delivered(claimed(ledger, channel="webhook"), NOW_S)
    ledger.outbox.failed(claimed(ledger), "disk full", NOW_S)
    ledger.outbox.failed(claimed(ledger, NOW_S + 1), "no folder", NOW_S + 1)
    assert ledger.outbox.backlog() == {
        "webhook": Backlog(waiting=2, delivered=1, oldest_s=NOW_S),
        "file": Backlog(waiting=3, failing=2, oldest_s=NOW_S - 9, error="no folder"),
    }


def test_an_error_is_forgotten_once_it_was_delivered(ledger: Ledger) -> None:
    queue(ledger, alert())
    ledger.outbox.failed(claimed(ledger), "disk full", NOW_S)
    ledger.outbox.delivered(claimed(ledger, NOW_S + 5), NOW_S + 5)
    assert ledger.outbox.backlog() == {"file": Backlog(delivered=1)}


def test_a_pets_notifications_can_be_found_for_erasing(ledger: Ledger) -> None:
    queue(ledger, alert("a", pet_id="rex"), alert("b", pet_id="bo"), audience=BOTH)
    with ledger._engine.begin() as sql:
        rows = sql.exec_driver_sql("SELECT alert_id, body FROM outbox WHERE pet_id = 'bo'").all()
    assert [(one, json.loads(body)["pet_id"]) for one, body in rows] == [("b", "bo")] * 2


def test_deliverers_at_once_never_claim_the_same(ledger: Ledger, tmp_path: Path) -> None:
    expected = [f"a{number}" for number in range(40)]
    queue(ledger, *(alert(one) for one in expected))
    found: list[str] = []

    def deliver() -> None:
        with opened(tmp_path) as own:
            found.extend(ids(own))

    deliverers = [threading.Thread(target=deliver) for _ in range(4)]
    for one in deliverers:
        one.start()
    for one in deliverers:
        one.join()
    assert sorted(found) == sorted(expected)
