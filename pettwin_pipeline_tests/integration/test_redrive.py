"""`pettwin redrive` on a real Kafka: every letter goes back once, whoever is killed."""

import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Fetched, Outgoing
from pettwin_pipeline.adapters.kafka_redrive import retention_ms, sending_back
from pettwin_pipeline.batches import PartitionRange
from pettwin_pipeline.cli import run
from pettwin_pipeline.commands import redrive
from pettwin_pipeline.errors import OvertakenError
from pettwin_pipeline.readings.dead_letters import DeadLetter, encode_headers
from pettwin_pipeline.readings.schema import Reject, RejectReason
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.commands.place import enter, plain
from pettwin_pipeline_tests.integration.dying_redrive import POINTS
from pettwin_pipeline_tests.integration.topics import topic_partitions
from pettwin_pipeline_tests.stack.programs import wait_for

pytestmark = pytest.mark.integration

PATIENCE_S = 60
LETTERS = 30
HOUR_MS = 3_600_000
Capsys = pytest.CaptureFixture[str]


class Stream:
    """Topics, group and ledger of its own, with dead letters of two reasons in turn."""

    def __init__(self, kafka: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        enter(folder, patch)
        self.folder = folder
        name = uuid.uuid4().hex
        given = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "KAFKA_TOPIC": f"readings-{name}",
            "KAFKA_CONSUMER_GROUP": f"group-{name}",
            "KAFKA_TIMEOUT_S": "20",
            "COLUMNS": "200",
        }
        for variable, value in given.items():
            patch.setenv(variable, value)
        self.settings = Settings.load()
        self.client = Kafka(self.settings)
        self.readings, self.letters = self.settings.kafka_topic, self.settings.dead_letter_topic
        topics = {self.readings: 3, self.letters: 1}
        self.client.create_topics(topics)
        wait_for(lambda: all(len(topic_partitions(self.client, t)) == topics[t] for t in topics))
        self.epoch = self.client.topic_epoch(self.readings)
        self.now_ms = round(time.time() * 1000)

    def write(self, first: int = 0, age_ms: int = HOUR_MS) -> None:
        """Dead letters of messages that are so old."""
        self.client.publish(
            self.letters, [self._letter(n, age_ms) for n in range(first, first + LETTERS)]
        )

    def _letter(self, number: int, age_ms: int) -> Outgoing:
        reason = RejectReason.TOO_OLD if number % 2 else RejectReason.NOT_JSON
        place = number % 3, number
        value = b"%d" % number
        reject = Reject(*place, b"rex", value, reason, "for a test", self.now_ms - age_ms)
        headers = encode_headers(DeadLetter(reject, self.readings, self.epoch, 3))
        return Outgoing(b"rex", value, headers=headers)

    def sent(self) -> Fetched:
        """What a reader of committed messages sees, once every transaction has ended."""
        wait_for(lambda: self._ends() == self.client.high_watermarks(self.readings), PATIENCE_S)
        parts = [PartitionRange(p, 0, end) for p, end in self._ends().items() if end]
        return self.client.read_range(self.readings, parts, with_headers=True)

    def _ends(self) -> dict[int, int]:
        return {p: one.stable for p, one in self.client.watermarks(self.readings).items()}

    def counts(self) -> Counter[int]:
        """How often each letter was sent back, by its number."""
        return Counter(int(value) for value in self.sent().values if value is not None)

    def run_that_dies(self, point: str, *options: str) -> None:
        """A redrive that is killed at a point."""
        program = "pettwin_pipeline_tests.integration.dying_redrive"
        ended = subprocess.run(
            [sys.executable, "-m", program, point, *options],
            timeout=PATIENCE_S,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]


@pytest.fixture
def stream(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    one = Stream(kafka, tmp_path, monkeypatch)
    yield one
    one.client.close()


def numbers(*wanted: int) -> Counter[int]:
    return Counter(wanted)


EVERY = numbers(*range(LETTERS))
EVEN = numbers(*range(0, LETTERS, 2))


def test_every_letter_goes_back_once_with_its_partition_and_its_time(stream: Stream) -> None:
    stream.write()
    assert run(["redrive"]) == 0
    sent = stream.sent()
    assert stream.counts() == EVERY
    assert all(
        int(value or b"") % 3 == partition
        for value, partition in zip(sent.values, sent.partitions.tolist(), strict=True)
    )
    assert set(sent.kafka_ms.tolist()) == {stream.now_ms - HOUR_MS}
    assert sent.headers is not None
    assert {one["redriven"] for one in sent.headers} == {b"0/%d" % n for n in range(LETTERS)}


def test_a_second_redrive_sends_only_what_came_since(stream: Stream, capsys: Capsys) -> None:
    stream.write()
    assert run(["redrive"]) == 0
    capsys.readouterr()
    assert run(["redrive"]) == 0
    assert "nothing to send back" in capsys.readouterr().out
    stream.write(first=LETTERS)
    assert run(["redrive"]) == 0
    assert stream.counts() == numbers(*range(2 * LETTERS))


def test_the_group_shows_how_many_letters_are_left(stream: Stream) -> None:
    stream.write()
    group = {"kafka_consumer_group": f"{stream.settings.kafka_consumer_group}-redrive"}
    with Kafka(stream.settings.model_copy(update=group)) as kafka:
        assert run(["redrive", "--most", "10"]) == 0
        assert kafka.lag(stream.letters) == {0: LETTERS - 10}
        assert run(["redrive"]) == 0
        assert kafka.lag(stream.letters) == {0: 0}


@pytest.mark.parametrize("point", POINTS)
def test_a_redrive_that_is_killed_sends_nothing_twice_and_loses_nothing(
    stream: Stream, point: str
) -> None:
    stream.write()
    stream.run_that_dies(point)
    assert run(["redrive"]) == 0
    assert stream.counts() == EVERY


@pytest.mark.parametrize("point", POINTS)
def test_a_redrive_of_some_that_is_killed_sends_nothing_twice_and_loses_nothing(
    stream: Stream, point: str
) -> None:
    stream.write()
    stream.run_that_dies(point, "--reason", "not_json")
    assert run(["redrive", "--reason", "not_json"]) == 0
    assert stream.counts() == EVEN
    assert run(["redrive"]) == 0
    assert stream.counts() == EVERY


def test_killed_again_and_again_it_comes_to_the_same(stream: Stream) -> None:
    stream.write()
    for point in POINTS:
        stream.run_that_dies(point, "--reason", "not_json")
    for point in POINTS:
        stream.run_that_dies(point)
    assert run(["redrive"]) == 0
    assert stream.counts() == EVERY


def test_a_redrive_that_another_one_overtakes_ends_and_the_other_goes_on(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    stream.write()
    monkeypatch.setattr(redrive, "PIECE", 10)
    real = redrive.Redrive._send_piece
    pieces: list[int] = []

    def overtaken(*arguments: object) -> None:
        pieces.append(1)
        if len(pieces) == 2:  # the other one sends all of its own pieces in here
            assert run(["redrive"]) == 0
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(redrive.Redrive, "_send_piece", overtaken)
    assert run(["redrive"]) == OvertakenError.exit_code
    told = capsys.readouterr()
    assert told.err.startswith("pettwin: another `pettwin redrive` began meanwhile")
    assert stream.counts() == EVERY
    assert run(["redrive"]) == 0
    assert stream.counts() == EVERY


def test_a_dry_run_does_not_stop_a_redrive_that_is_at_work(stream: Stream) -> None:
    stream.write()
    source = stream.letters
    with sending_back(stream.client, source, stream.client.topic_epoch(source)) as back:
        assert run(["redrive", "--dry-run"]) == 0
        back.send(stream.readings, [Outgoing(b"rex", b"7")], (0, 1), "piece")
    assert stream.counts() == numbers(7)


def test_letters_that_outlive_their_topic_are_told(stream: Stream, capsys: Capsys) -> None:
    kept_ms = retention_ms(stream.client, stream.readings)
    assert kept_ms == 168 * HOUR_MS, "Kafka's default"
    stream.write(age_ms=kept_ms + HOUR_MS)
    assert run(["redrive", "--dry-run"]) == 0
    told = " ".join(plain(capsys.readouterr().out).split())
    assert f"{LETTERS} of them are older than {stream.readings} keeps messages (168 h)" in told
    assert run(["redrive", "--restamp"]) == 0
    assert "older than" not in capsys.readouterr().out
    assert min(stream.sent().kafka_ms.tolist()) >= stream.now_ms
