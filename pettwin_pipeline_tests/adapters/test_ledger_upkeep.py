"""What the ledger knows of its own upkeep: compacted, trimmed, changed and erased."""

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_outbox import Audience
from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.adapters.ledger_upkeep import erased_pets, pet_digest
from pettwin_pipeline_tests.adapters.ledgers import (
    EPOCH,
    NOW_S,
    TOPIC,
    alert,
    begun,
    episode,
    finish,
    requested,
)


def done(ledger: Ledger, start: int, end: int, at_s: float, **counts: int) -> RangeRecord:
    """A range of partition 0 that was done at a time."""
    record = requested(ledger, (0, start, end))
    finish(ledger, record, begun(ledger, record, f"run-{start}", at_s), at_s, counts=counts)
    found = ledger.of_id(record.id)
    assert found is not None
    return found


def test_done_ranges_are_found_by_when_they_were_done(ledger: Ledger) -> None:
    records = [done(ledger, n * 10, n * 10 + 10, NOW_S + n) for n in range(4)]
    requested(ledger, (0, 40, 50))
    found = ledger.upkeep.done(TOPIC, since_s=NOW_S + 1, before_s=NOW_S + 3)
    assert [one.id for one in found] == [records[1].id, records[2].id]
    assert len(ledger.upkeep.done(TOPIC)) == 4
    assert ledger.upkeep.done(TOPIC, epoch="another") == []
    assert ledger.upkeep.done("another") == []


def test_ranges_are_uncompacted_until_it_is_noted(ledger: Ledger) -> None:
    records = [done(ledger, n * 10, n * 10 + 10, NOW_S + n) for n in range(3)]
    assert ledger.upkeep.uncompacted_s(TOPIC, NOW_S + 2) == [NOW_S, NOW_S + 1]
    ledger.upkeep.note_compacted(records[:1], NOW_S + 9)
    assert ledger.upkeep.uncompacted_s(TOPIC, NOW_S + 9) == [NOW_S + 1, NOW_S + 2]
    assert ledger.upkeep.done(TOPIC)[0].compacted_s == NOW_S + 9


def test_sums_outlive_the_ranges_that_they_were_made_of(ledger: Ledger) -> None:
    done(ledger, 0, 10, NOW_S, messages=10, readings=9)
    done(ledger, 10, 20, NOW_S + 100, messages=10, late=2)
    assert ledger.upkeep.trim(NOW_S + 50)["ranges"] == 1
    sums = {"messages": 20, "readings": 9, "late": 2}
    assert ledger.outcomes.totals(TOPIC) == sums
    assert [one.range.text for one in ledger.recent(TOPIC, 9)] == ["0:10-20"]
    assert ledger.positions(TOPIC, EPOCH) == {0: 20}


def test_ranges_that_are_not_finished_are_never_trimmed(ledger: Ledger) -> None:
    requested(ledger, (0, 0, 10))
    assert ledger.upkeep.trim(NOW_S + 1e9)["ranges"] == 0


def test_changed_baselines_are_remembered_by_partition(ledger: Ledger) -> None:
    upkeep = ledger.upkeep
    upkeep.note_baselines_changed(TOPIC, EPOCH, {0: 10, 3: 7}, "repartition", NOW_S)
    upkeep.note_baselines_changed(TOPIC, EPOCH, {0: 10}, "once more", NOW_S)
    upkeep.note_baselines_changed(TOPIC, EPOCH, {0: 30}, "repartition", NOW_S)
    assert upkeep.changed_baselines(TOPIC, EPOCH) == {0: {10, 30}, 3: {7}}
    assert upkeep.changed_baselines(TOPIC, "another") == {}


def with_outcomes(ledger: Ledger) -> None:
    """An episode and an alert of each of two pets."""
    record = requested(ledger, (0, 0, 10))
    episodes = [episode("e1", pet_id="rex"), episode("e2", pet_id="bo")]
    alerts = [alert("a1", pet_id="rex"), alert("a2", pet_id="bo")]
    lease = begun(ledger, record, "run-1")
    told = Audience(("file",))
    finish(ledger, record, lease, episodes=episodes, alerts=alerts, audience=told)


def test_what_is_known_of_a_pet_is_erased_and_nothing_of_others(ledger: Ledger) -> None:
    with_outcomes(ledger)
    erased = ledger.upkeep.erase("rex", NOW_S)
    assert erased == {"episodes": 1, "alerts": 1, "outbox": 1, "labels": 0}
    assert ledger.outbox.backlog()["file"].waiting == 1
    assert [one["pet_id"] for one in ledger.outcomes.alerts(9)] == ["bo"]
    assert ledger.outcomes.count_episodes() == 1
    ledger.upkeep.give_back()


def test_an_erased_pet_is_known_by_its_digest_and_the_last_time(ledger: Ledger) -> None:
    ledger.upkeep.erase("rex", NOW_S)
    ledger.upkeep.erase("rex", NOW_S + 5)
    erasures = ledger.upkeep.erasures()
    assert erasures == {pet_digest("rex"): NOW_S + 5}
    assert erased_pets(erasures, ["bo", "rex"]) == {"rex": NOW_S + 5}


def test_notifications_that_wait_are_not_trimmed(ledger: Ledger) -> None:
    with_outcomes(ledger)
    claimed = ledger.outbox.claim("file", NOW_S)
    assert claimed is not None
    ledger.outbox.delivered(claimed, NOW_S + 1)
    assert ledger.upkeep.trim(NOW_S + 9)["outbox"] == 1
    assert ledger.outbox.backlog()["file"].waiting == 1


@pytest.mark.parametrize(("partition", "ended"), [(0, 1), (4, 0)])
def test_an_episode_of_a_place_that_a_pet_left_is_ended(
    ledger: Ledger, partition: int, ended: int
) -> None:
    with_outcomes(ledger)
    assert ledger.upkeep.end_episodes("rex", partition, 1_000) == ended
    trimmed = ledger.upkeep.trim(NOW_S + 1)["episodes"]
    assert trimmed == ended, "only what has ended is trimmed"
