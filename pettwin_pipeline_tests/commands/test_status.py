"""`pettwin status`: what a ledger, a broker and a state folder tell, for people and programs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_outbox import Audience
from pettwin_pipeline.adapters.telemetry import Tally
from pettwin_pipeline.batches import Gap, OffsetRange, PartitionRange
from pettwin_pipeline.cli import run
from pettwin_pipeline.commands.status import RECENT
from pettwin_pipeline_tests.adapters.ledgers import alert, episode
from pettwin_pipeline_tests.commands.place import Place, noise

COUNTS = {"messages": 1200, "readings": 1195, "rejects": 5, "late": 2}
Capsys = pytest.CaptureFixture[str]


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """The ledger of the place."""
    one = open_ledger(place.settings.ledger_url)
    yield one
    one.close()


def offsets(place: Place, partition: int, start: int, end: int, lane: int = 0) -> OffsetRange:
    parts = (PartitionRange(partition, start, end),)
    return OffsetRange(place.settings.kafka_topic, place.broker.epoch, lane, parts)


def finish(ledger: Ledger, wanted: OffsetRange, **more: Any) -> None:
    """A range that was read, with what came of it."""
    record = ledger.request(wanted, time.time())
    lease = ledger.begin(record, 1, "run-1", time.time(), 60)
    given: dict[str, Any] = {"episodes": (), "alerts": (), "counts": COUNTS} | more
    ledger.finish(record, lease, now_s=time.time(), **given)


def status(capsys: Capsys, code: int = 0) -> dict[str, Any]:
    assert run(["status", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_where_nothing_was_read_everything_is_there_and_zero(place: Place, capsys: Capsys) -> None:
    found = status(capsys)
    assert found["state_folder"] == str(place.settings.state.root)
    assert found["stack"]["broker"] == place.broker.address
    assert [one["name"] for one in found["services"]] == [
        "kafka",
        "datadog",
        "model",
        "notifications",
    ]
    assert found["lag"] == {"0": 0, "1": 0, "2": 0, "3": 0}
    assert found["lanes"] == [
        {"lane": 0, "state": "free", "run": None, "held_s": None, "attempt": None, "error": None}
    ]
    empty = ("totals", "alerts", "points", "notifications", "ranges")
    assert [found[name] for name in empty] == [{}, {}, {}, {}, []]
    assert (found["gap"], found["episodes"]) == (0, 0)
    assert (found["last_error"], found["broker_error"]) == (None, None)


def test_lag_is_what_lies_behind_the_committed_offsets(place: Place, capsys: Capsys) -> None:
    topic = place.settings.kafka_topic
    with Kafka(place.settings) as kafka:
        kafka.publish(topic, noise(100, 1000))
        (partition,) = [p for p, lag in kafka.lag(topic).items() if lag]
        kafka.commit(topic, {partition: 4})
    lag = status(capsys)["lag"]
    assert lag.pop(str(partition)) == 6
    assert set(lag.values()) == {0}
    assert run(["status"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "lag: 6 messages in 4 partitions"


def test_what_was_read_and_found_adds_up(place: Place, ledger: Ledger, capsys: Capsys) -> None:
    first, second = offsets(place, 0, 0, 1200), offsets(place, 0, 1200, 2400)
    finish(ledger, first, episodes=[episode()], alerts=[alert(), alert("a2", severity="high")])
    finish(ledger, second)
    ledger.outcomes.add_tallies({"kafka.messages.consumed": Tally(2, 1195.0, time.time())})
    found = status(capsys)
    assert found["totals"] == {"messages": 2400, "readings": 2390, "rejects": 10, "late": 4}
    assert (found["episodes"], found["alerts"]) == (1, {"low": 1, "high": 1})
    assert found["points"]["kafka.messages.consumed"]["points"] == 2
    assert [(one["range"], one["status"]) for one in found["ranges"]] == [
        ("0:1200-2400", "done"),
        ("0:0-1200", "done"),
    ]
    assert found["ranges"][0]["counts"] == COUNTS
    assert found["ranges"][0]["run"] == "run-1"


def test_people_get_the_same(place: Place, ledger: Ledger, capsys: Capsys) -> None:
    finish(ledger, offsets(place, 0, 0, 1200), episodes=[episode()], alerts=[alert()])
    assert run(["status"]) == 0
    told = capsys.readouterr()
    lines = [line.strip() for line in told.out.splitlines()]
    assert f"state folder: {place.settings.state.root}" in lines
    assert "read: 1,200 messages, 1,195 readings, 5 rejects, 0 lost or skipped" in lines
    assert "found: 1 episodes, alerts: 1 low" in lines
    assert "lag: 0 messages in 4 partitions" in lines
    assert told.err == ""


def test_a_lane_at_work_names_its_run(place: Place, ledger: Ledger, capsys: Capsys) -> None:
    record = ledger.request(offsets(place, 0, 0, 10), time.time())
    ledger.begin(record, 1, "run-7", time.time() - 5, 60)
    (lane,) = status(capsys)["lanes"]
    assert (lane["state"], lane["run"], lane["attempt"]) == ("at work", "run-7", 1)
    assert 5 <= lane["held_s"] < 60


def test_a_failed_range_tells_its_attempt_and_its_error(
    place: Place, ledger: Ledger, capsys: Capsys
) -> None:
    record = ledger.request(offsets(place, 1, 0, 10, lane=1), time.time())
    record = ledger.request_again(record, time.time())
    lease = ledger.begin(record, 2, "run-8", time.time(), 60)
    ledger.fail(record, lease, "disk full", time.time())
    found = status(capsys)
    assert [one["state"] for one in found["lanes"]] == ["free", "failed"]
    assert (found["lanes"][1]["attempt"], found["lanes"][1]["error"]) == (2, "disk full")
    assert found["last_error"] == "disk full"
    assert run(["status"]) == 0
    assert "last error: disk full" in capsys.readouterr().out


def test_what_the_broker_dropped_unread_is_told(
    place: Place, ledger: Ledger, capsys: Capsys
) -> None:
    topic, epoch = place.settings.kafka_topic, place.broker.epoch
    ledger.start_at(topic, epoch, {0: 0})
    ledger.setbacks.note_gaps(topic, epoch, [Gap(0, 0, 1500)], time.time())
    assert status(capsys)["gap"] == 1500
    assert run(["status"]) == 0
    assert "1,500 lost or skipped" in capsys.readouterr().out


def test_who_waits_to_be_told_is_shown_by_channel(
    place: Place, ledger: Ledger, capsys: Capsys
) -> None:
    alerts, now_s = [alert("a1"), alert("a2"), alert("a3")], time.time()
    audience = Audience(("file", "webhook"))
    finish(ledger, offsets(place, 0, 0, 10), alerts=alerts, audience=audience)
    outbox = ledger.outbox
    for _ in alerts:
        one = outbox.claim("file", now_s + 1)
        assert one is not None
        outbox.delivered(one, now_s)
    for error, late_s in (("old news", 0), ("answered 500", 1), ("answered 500", 90_000)):
        one = outbox.claim("webhook", now_s + 1 + late_s)
        assert one is not None
        outbox.failed(one, error, now_s + 1 + late_s)
    found = status(capsys)["notifications"]
    assert (found["file"]["delivered"], found["file"]["waiting"]) == (3, 0)
    hook = found["webhook"]
    assert (hook["waiting"], hook["failing"], hook["given_up"]) == (2, 2, 1)
    assert (round(hook["oldest_s"] - now_s), hook["error"]) == (0, "answered 500")
    assert run(["status"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "notifications by file: 3 delivered, 0 waiting notifications by webhook: " in told
    assert "webhook: 0 delivered, 2 waiting, the oldest for " in told
    assert " s, 1 given up; the last error: answered 500" in told


def test_only_the_latest_ranges_are_shown(place: Place, ledger: Ledger, capsys: Capsys) -> None:
    for n in range(RECENT + 2):
        finish(ledger, offsets(place, 0, 10 * n, 10 * n + 10))
    found = status(capsys)
    assert [one["range"] for one in found["ranges"]][:2] == ["0:90-100", "0:80-90"]
    assert len(found["ranges"]) == RECENT
    assert found["totals"]["messages"] == (RECENT + 2) * 1200


def test_without_a_broker_the_rest_is_told_and_the_exit_code_is_2(
    place: Place, ledger: Ledger, capsys: Capsys
) -> None:
    finish(ledger, offsets(place, 0, 0, 1200))
    place.settings.state.remove_stack()
    assert run(["status", "--json"]) == 2
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["stack"], found["lag"], found["lanes"]) == (None, None, [])
    assert found["totals"]["messages"] == 1200
    assert found["broker_error"].startswith("no broker: start one with `pettwin up`")
    assert told.err == f"pettwin: {found['broker_error']}\n"
    assert run(["status"]) == 2
    assert "lag: unknown" in capsys.readouterr().out


def test_a_broker_that_does_not_answer_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "1")
    place.broker.close()
    assert "does not answer" in status(capsys, code=2)["broker_error"]
