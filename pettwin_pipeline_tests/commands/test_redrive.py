"""`pettwin redrive` on the embedded broker: what goes back, what stays, what people are told."""

import json
import re
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.adapters.ledger import open_ledger
from pettwin_pipeline.adapters.ledger_redrives import Redrives
from pettwin_pipeline.cli import run
from pettwin_pipeline.commands import redrive
from pettwin_pipeline.readings.dead_letters import DeadLetter, encode_headers
from pettwin_pipeline.readings.schema import Reject, RejectReason
from pettwin_pipeline.stack.embedded_broker import PARTITIONS, EmbeddedBroker
from pettwin_pipeline_tests.commands.place import Place, Sent, plain
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline

Capsys = pytest.CaptureFixture[str]
Redrive = Callable[..., str]
WRITTEN_MS = 1_772_323_200_000
"""2026-03-01 00:00 UTC: when a letter was written unless told."""
REJECTED_MS = WRITTEN_MS - 1000
NOT_JSON, TOO_OLD = RejectReason.NOT_JSON, RejectReason.TOO_OLD


@pytest.fixture
def redriven(place: Place, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> Redrive:
    """Run the command in a place; what it said."""
    monkeypatch.setenv("COLUMNS", "200")

    def redriven(*arguments: str, code: int = 0) -> str:
        assert run(["redrive", *arguments]) == code
        told = capsys.readouterr()
        return plain(told.out + told.err)

    return redriven


def letter(
    place: Place,
    offset: int,
    reason: RejectReason = NOT_JSON,
    *,
    partition: int = 1,
    key: bytes | None = b"rex",
    value: bytes | None = b"{%d",
    epoch: str | None = None,
    topic: str | None = None,
    written_ms: int = WRITTEN_MS,
) -> Outgoing:
    """The dead letter of a message at an offset of the readings."""
    value = value % offset if value and b"%d" in value else value
    reject = Reject(partition, offset, key, value, reason, f"is {reason}", REJECTED_MS)
    lay = topic or place.settings.kafka_topic, epoch or place.broker.epoch
    one = DeadLetter(reject, *lay, PARTITIONS)
    return Outgoing(key, value, written_ms, encode_headers(one), partition=0)


def write(place: Place, *letters: Outgoing) -> None:
    """Put letters into partition 0 of their topic."""
    with Kafka(place.settings) as kafka:
        kafka.publish(place.settings.dead_letter_topic, letters)


def values(place: Place) -> list[bytes | None]:
    """What was sent back."""
    return [one.value for one in place.sent()]


def row(told: str, reason: str) -> list[int]:
    """Found, sent back, nothing to send, left."""
    (line,) = [line for line in told.splitlines() if line.startswith(f"{reason} ")]
    return [int(number.replace(",", "")) for number in re.findall(r" ([\d,]+)", line)]


def test_where_no_letter_is_a_sentence_says_so(place: Place, redriven: Redrive) -> None:
    assert "nothing to send back: pet-health-stream.dlq holds no letter" in redriven()
    assert values(place) == []


def test_a_letter_goes_back_as_it_was_to_where_it_was(place: Place, redriven: Redrive) -> None:
    write(place, letter(place, 5, partition=1), letter(place, 6, partition=3, key=None))
    told = redriven()
    assert place.sent() == [
        Sent(1, b"rex", b"{5", REJECTED_MS),
        Sent(3, None, b"{6", REJECTED_MS),
    ]
    assert row(told, "not_json") == [2, 2, 0, 0]
    assert "2 sent back, 0 left in pet-health-stream.dlq" in told
    assert "the embedded broker keeps no transactions" in told


def test_a_letter_that_was_sent_back_is_not_sent_again(place: Place, redriven: Redrive) -> None:
    write(place, letter(place, 5))
    redriven()
    assert "nothing to send back" in redriven()
    write(place, letter(place, 9))
    redriven()
    assert values(place) == [b"{5", b"{9"]


def test_with_another_ledger_the_offsets_of_the_group_still_tell(
    place: Place, redriven: Redrive, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(place, letter(place, 5))
    redriven()
    monkeypatch.setenv("PETTWIN_LEDGER_URL", f"sqlite:///{tmp_path}/another.sqlite")
    assert "nothing to send back" in redriven()


def test_without_offsets_of_the_group_the_ledger_still_tells(
    place: Place, redriven: Redrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(place, letter(place, 5))
    redriven()
    monkeypatch.setenv("KAFKA_CONSUMER_GROUP", "expired")
    assert "nothing to send back" in redriven()


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (("--reason", "too_old"), [b"{2", b"{4"]),
        (("--reason", "too_old", "--reason", "not_json"), [b"{1", b"{2", b"{3", b"{4"]),
        (("--pet", "bo"), [b"{3", b"{4"]),
        (("--pet", "bo", "--reason", "too_old"), [b"{4"]),
        (("--since", "2026-03-01T00:00:02"), [b"{2", b"{3", b"{4"]),
        (("--until", "2026-03-01T00:00:02"), [b"{1"]),
        (("--most", "3"), [b"{1", b"{2", b"{3"]),
        (("--reason", "too_new"), []),
    ],
)
def test_what_is_not_chosen_stays_and_goes_back_later(
    place: Place, redriven: Redrive, options: tuple[str, ...], sent: list[bytes]
) -> None:
    chosen = [(NOT_JSON, b"rex"), (TOO_OLD, b"rex"), (NOT_JSON, b"bo"), (TOO_OLD, b"bo")]
    letters = [
        letter(place, n, reason, key=key, written_ms=WRITTEN_MS + 1000 * n)
        for n, (reason, key) in enumerate(chosen, start=1)
    ]
    write(place, *letters)
    told = redriven(*options)
    assert values(place) == sent
    assert f"{len(sent)} sent back, {4 - len(sent)} left" in told
    redriven(*options)
    later = [b"{4"] if "--most" in options else []
    assert values(place) == sent + later, "nothing is sent twice"
    redriven()
    assert sorted(filter(None, values(place))) == [b"{1", b"{2", b"{3", b"{4"]


def test_a_dry_run_tells_what_would_go_back_and_does_nothing(
    place: Place, redriven: Redrive
) -> None:
    write(place, *(letter(place, n) for n in range(5)), letter(place, 9, TOO_OLD))
    told = redriven("--dry-run", "--reason", "not_json")
    assert row(told, "not_json") == [5, 5, 0, 0]
    assert row(told, "too_old") == [1, 0, 0, 1]
    assert "0/0 not_json, rex: is not_json" in told
    assert "5 would be sent back, 1 left" in told
    assert values(place) == []
    assert row(redriven(), "not_json") == [5, 5, 0, 0]


def test_tombstones_hold_nothing_to_send_and_are_passed_over(
    place: Place, redriven: Redrive
) -> None:
    write(place, letter(place, 1, RejectReason.TOMBSTONE, value=None), letter(place, 2))
    told = redriven()
    assert row(told, "tombstone") == [1, 0, 1, 0]
    assert values(place) == [b"{2"]
    assert "nothing to send back" in redriven()


def test_the_copies_that_failed_attempts_left_go_back_once(place: Place, redriven: Redrive) -> None:
    write(place, letter(place, 1), letter(place, 2), letter(place, 1), letter(place, 2))
    assert row(redriven(), "not_json") == [4, 2, 2, 0]
    assert values(place) == [b"{1", b"{2"]
    assert "nothing to send back" in redriven()


def test_what_we_did_not_write_stays(place: Place, redriven: Redrive) -> None:
    foreign = Outgoing(b"rex", b"hello", partition=0)
    write(place, foreign, letter(place, 1, topic="another-stream"), letter(place, 2))
    told = redriven()
    assert values(place) == [b"{2"]
    (line,) = [line for line in told.splitlines() if line.startswith(redrive.STRANGE)]
    assert line.split()[-4:] == ["2", "0", "0", "2"]
    assert "2 left" in redriven()


def test_a_letter_of_an_older_topic_goes_where_its_key_leads(
    place: Place, redriven: Redrive
) -> None:
    with Kafka(place.settings) as kafka:
        kafka.publish(place.settings.kafka_topic, [Outgoing(b"rex", b"of a collar")])
    (own,) = [one.partition for one in place.sent()]
    other = (own + 1) % 4
    write(place, letter(place, 1, partition=other, epoch="older"))
    redriven()
    assert {one.partition for one in place.sent()} == {own}


def test_what_came_of_a_pet_before_it_was_erased_does_not_come_back(
    place: Place, redriven: Redrive
) -> None:
    with closing(open_ledger(place.settings.ledger_url)) as ledger:
        ledger.upkeep.erase("rex", REJECTED_MS / 1000)
        ledger.upkeep.erase("bo", REJECTED_MS / 1000 - 1)
    write(place, letter(place, 1), letter(place, 2, key=b"bo"))
    assert row(redriven("--restamp"), "not_json") == [2, 1, 1, 0]
    assert values(place) == [b"{2"], "bo had been erased before"


def test_restamped_it_is_a_message_of_now(place: Place, redriven: Redrive) -> None:
    write(place, letter(place, 1))
    began_ms = time.time() * 1000
    redriven("--restamp")
    (one,) = place.sent()
    assert began_ms - 1 <= one.kafka_ms <= time.time() * 1000


def test_many_letters_go_back_in_pieces_in_their_order(
    place: Place, redriven: Redrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "PIECE", 10)
    write(place, *(letter(place, n, TOO_OLD if n % 3 else NOT_JSON) for n in range(35)))
    redriven("--reason", "not_json")
    assert values(place) == [b"{%d" % n for n in range(0, 35, 3)]
    told = redriven("--most", "15")
    assert "offsets were not looked at: --most is reached" in told
    redriven()
    rest = [b"{%d" % n for n in range(35) if n % 3]
    assert values(place)[12:] == rest


def test_killed_before_it_is_settled_a_piece_goes_back_again_on_the_embedded_broker(
    place: Place, redriven: Redrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: str) -> None:
        raise KeyboardInterrupt

    write(place, letter(place, 1, TOO_OLD), letter(place, 2))
    with monkeypatch.context() as patch:
        patch.setattr(Redrives, "settle", killed)
        redriven("--reason", "not_json", code=130)
    assert values(place) == [b"{2"]
    redriven()
    assert values(place) == [b"{2", b"{1", b"{2"], "at least once, and the pipeline drops copies"


def test_a_broker_that_dies_is_one_line(
    place: Place, redriven: Redrive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "1")
    place.broker.close()
    told = redriven(code=2)
    assert re.fullmatch(r"pettwin: the broker at \S+ .*does not answer.*\n", told)


def message(age_h: float) -> Outgoing:
    """A reading of so long ago, sent now."""
    at = datetime.fromtimestamp(time.time() - age_h * 3600, tz=UTC).isoformat()
    reading = {"pet_id": "rex", "timestamp": at, "heart_rate": 60}
    return Outgoing(b"rex", json.dumps(reading).encode())


@pytest.fixture
def pipeline(
    tmp_path: Path, embedded_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> Pipeline:
    """One that rejects what is older than an hour."""
    folder = tmp_path / "pipeline"
    return Pipeline(folder, embedded_broker, monkeypatch, PETTWIN_MAX_AGE_H="1")


def counted(pipeline: Pipeline, *names: str) -> list[int]:
    """Counts of a run that was just requested."""
    assert pipeline.step().success
    return [pipeline.record().counts[name] for name in names]


@DAGSTERS_OWN
def test_once_the_limit_is_mended_what_was_too_old_is_a_reading(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.send([message(age_h=2), Outgoing(b"rex", b"{broken")], partition=2)
    assert counted(pipeline, "readings", "rejects") == [0, 2]
    monkeypatch.setenv("PETTWIN_MAX_AGE_H", "3")
    assert run(["redrive"]) == 0
    assert counted(pipeline, "readings", "rejects", "scored") == [1, 1, 1]
    assert [part.partition for part in pipeline.record().range.parts] == [2]
    assert run(["redrive"]) == 0
    assert counted(pipeline, "messages", "rejects") == [1, 1], "what is still broken comes back"


@DAGSTERS_OWN
def test_a_letter_that_its_pet_has_gone_past_is_a_late_reading(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.send([message(age_h=2), message(age_h=0)])
    assert counted(pipeline, "rejects", "scored") == [1, 1]
    monkeypatch.setenv("PETTWIN_MAX_AGE_H", "3")
    assert run(["redrive"]) == 0
    assert counted(pipeline, "rejects", "scored", "late") == [0, 0, 1]
