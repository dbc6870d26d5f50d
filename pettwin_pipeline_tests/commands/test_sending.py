"""Sending, where it goes wrong: brokers that die, and points beside it all."""

import threading
from collections.abc import Iterator

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.cli import run
from pettwin_pipeline.commands.sending import Sender
from pettwin_pipeline.errors import DeliveryFailedError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.commands.place import Place, noise
from pettwin_pipeline_tests.metrics.datagrams import Line, Listener
from pettwin_pipeline_tests.stack.programs import wait_for

Capsys = pytest.CaptureFixture[str]


def total(lines: list[Line], name: str, **tags: str) -> float:
    """The sum of a count over the lines with these tags."""
    chosen = (line for line in lines if line.name == name)
    return sum(line.values[0] for line in chosen if tags.items() <= line.tag_values.items())


@pytest.fixture
def listener(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """An Agent's socket, which the settings name."""
    with Listener.udp() as one:
        monkeypatch.setenv("DD_DOGSTATSD_URL", f"udp://127.0.0.1:{one.port}")
        yield one


def test_what_was_acknowledged_is_told_to_an_agent(place: Place, listener: Listener) -> None:
    assert run(["simulate", "--pets", "5", "--minutes", "10", "--speed", "0"]) == 0
    lines = listener.lines()
    produced = "kafka.messages.produced"
    for topic in (place.settings.kafka_topic, place.settings.kafka_labels_topic):
        sent = len(place.sent(topic))
        assert total(lines, produced, topic=topic, outcome="acked") == sent > 0
        assert total(lines, produced, topic=topic, outcome="failed") == 0
        latencies = [
            line
            for line in lines
            if line.name == "kafka.produce.latency" and line.tag_values["topic"] == topic
        ]
        assert sum(line.weighted_values for line in latencies) == pytest.approx(sent, rel=0.01)
        assert all(value >= 0 for line in latencies for value in line.values)
    beats = [line for line in lines if line.name == "pipeline.heartbeat"]
    assert beats
    assert all(one.tag_values["component"] == "producer" for one in beats)


def test_without_datadog_the_points_are_counted_for_status(place: Place) -> None:
    from pettwin_pipeline.adapters.ledger import open_ledger

    assert run(["simulate", "--pets", "2", "--minutes", "2", "--speed", "0"]) == 0
    ledger = open_ledger(place.settings.ledger_url)
    tallies = ledger.outcomes.tallies()
    ledger.close()
    assert {"kafka.messages.produced", "pipeline.heartbeat"} <= set(tallies)


def test_a_ledger_that_cannot_be_opened_stops_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    (place.folder / "file").touch()
    monkeypatch.setenv("PETTWIN_LEDGER_URL", f"sqlite:///{place.folder}/file/ledger.sqlite")
    assert run(["simulate", "--pets", "2", "--minutes", "2", "--speed", "0"]) == 0
    told = capsys.readouterr()
    assert told.out.count("points are not counted: ") == 1
    assert "all acknowledged" in told.out
    assert told.err == ""


def test_a_broker_that_dies_in_the_middle_is_one_line_with_exit_code_1(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: Capsys
) -> None:
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "1")
    address = place.broker.address

    def end() -> None:
        with Kafka(place.settings) as kafka:
            topic = place.settings.kafka_topic
            wait_for(lambda: sum(kafka.high_watermarks(topic).values()) > 10)
        place.broker.close()

    killer = threading.Thread(target=end)
    killer.start()
    code = run(["simulate", "--pets", "20", "--minutes", "60", "--speed", "60"])
    killer.join()
    told = capsys.readouterr()
    assert code == 1
    assert told.err.startswith("pettwin: ")
    assert told.err.count("\n") == 1
    assert address in told.err
    assert "all acknowledged" not in told.out


def unguarded(place: Place, listener: Listener | None = None) -> Settings:
    """The settings of one for whom the same broker is a Kafka: it is not asked for its room."""
    given = {"KAFKA_BOOTSTRAP_SERVERS": place.broker.address, "KAFKA_TIMEOUT_S": "0.5"}
    url = {"DD_DOGSTATSD_URL": f"udp://127.0.0.1:{listener.port}"} if listener else {}
    return Settings.load(given | url | {"PETTWIN_STATE_DIR": str(place.folder / "other")})


def looked_at(sender: Sender) -> Sender:
    """The sender, after it has taken in what became of its messages."""
    sender.wait(0.05)
    return sender


def failed(sender: Sender) -> int:
    return sum(one.failed for one in sender._deliveries.values())


def send_to_one_that_dies(place: Place, sender: Sender, topic: str, *, told: bool) -> None:
    """10 messages that arrive and 20 that do not; `told`: their failure is known before the end."""
    with sender:
        sender.send(topic, noise(100, 1000))
        wait_for(lambda: looked_at(sender).acked == 10)
        place.broker.close()
        sender.send(topic, noise(100, 2000))
        if told:
            wait_for(lambda: failed(looked_at(sender)) == 20)
            sender.send(topic, noise(100, 100))


@pytest.mark.parametrize("told", [False, True])
def test_messages_that_are_not_acknowledged_are_an_error_and_count_as_failed(
    place: Place, listener: Listener, *, told: bool
) -> None:
    settings = unguarded(place, listener)
    topic, sent = settings.kafka_topic, 31 if told else 30
    with Kafka(settings) as kafka:
        sender = Sender(settings, kafka, (topic,))
        error = f"^20 of {sent} messages to {topic} at {place.broker.address} were not delivered"
        with pytest.raises(DeliveryFailedError, match=error):
            send_to_one_that_dies(place, sender, topic, told=told)
    assert sender.acked == 10
    lines = listener.lines()
    assert total(lines, "kafka.messages.produced", outcome="acked") == 10
    assert total(lines, "kafka.messages.produced", outcome="failed") == sent - 10


def send_again_to_one_that_died(place: Place, sender: Sender, topic: str) -> None:
    with sender:
        sender.send(topic, noise(100, 1000))
        wait_for(lambda: looked_at(sender).acked == 10)
        place.broker.close()
        sender.send(topic, noise(100, 1000))


def test_an_embedded_broker_that_dies_between_two_messages_is_told_with_what_it_had(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "1")
    settings = Settings.load()
    error = f"^10 messages were acknowledged, then the broker at {place.broker.address} "
    with Kafka(settings) as kafka:
        sender = Sender(settings, kafka, (settings.kafka_topic,))
        with pytest.raises(DeliveryFailedError, match=error):
            send_again_to_one_that_died(place, sender, settings.kafka_topic)


def send_and_be_interrupted(place: Place, sender: Sender, topic: str) -> None:
    with sender:
        place.broker.close()
        sender.send(topic, noise(100, 500))
        raise KeyboardInterrupt


def test_what_an_interrupted_sender_did_not_deliver_counts_as_failed(
    place: Place, listener: Listener
) -> None:
    settings = unguarded(place, listener)
    topic = settings.kafka_topic
    with Kafka(settings) as kafka:
        sender = Sender(settings, kafka, (topic,))
        with pytest.raises(KeyboardInterrupt):
            send_and_be_interrupted(place, sender, topic)
    lines = listener.lines()
    assert total(lines, "kafka.messages.produced", outcome="acked") == 0
    assert total(lines, "kafka.messages.produced", outcome="failed") == 5


def test_a_topic_that_is_not_there_is_an_error_before_anything_is_sent(place: Place) -> None:
    from pettwin_pipeline.errors import TopicMissingError

    settings = unguarded(place)
    with (
        Kafka(settings) as kafka,
        pytest.raises(TopicMissingError, match="pettwin topics create"),
    ):
        Sender(settings, kafka, ("misspelt",))
