import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import confluent_kafka as ck
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.stack.apache_kafka import (
    KAFKA_VERSION,
    cached_jars,
    draw_cluster_id,
    fetch_jars,
    java_version,
    parse_java_version,
    prepare_kafka,
    running_kafka,
)
from pettwin_pipeline.stack.ports import LOOPBACK
from pettwin_pipeline.stack.supervisor import Supervisor
from pettwin_pipeline_tests.stack.programs import is_gone, wait_for

ANSWER_S = 20.0


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_202"', 8),
        ('openjdk version "21" 2023-09-19', 21),
        ("The operation couldn't be completed. Unable to locate a Java Runtime.", None),
    ],
)
def test_the_major_version_of_java_is_read(text: str, version: int | None) -> None:
    assert parse_java_version(text) == version


def test_without_java_the_error_says_so_in_one_line_and_names_docker_compose() -> None:
    with pytest.raises(StackError, match=r"Java 17 or newer.*no `java`.*docker compose") as caught:
        java_version(find=lambda _: None)
    assert "\n" not in str(caught.value)


def test_an_old_java_is_refused_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(
        StackError, match=r"is version 11: install a newer one, or .*docker compose"
    ):
        java_version(find=lambda _: str(old))


def test_without_maven_the_error_says_so_in_one_line_and_names_docker_compose(
    tmp_path: Path,
) -> None:
    with pytest.raises(StackError, match=r"no `mvn`.*docker compose") as caught:
        fetch_jars(tmp_path, find=lambda _: None)
    assert "\n" not in str(caught.value)


def test_what_maven_said_last_is_told_when_it_fails(tmp_path: Path) -> None:
    broken = tmp_path / "mvn"
    broken.write_text("#!/bin/sh\necho 'ERROR: unknown host'\nexit 1\n")
    broken.chmod(0o755)
    (tmp_path / "jars").mkdir()
    with pytest.raises(StackError, match=r"(?s)Maven cannot fetch.*unknown host"):
        fetch_jars(tmp_path / "jars", find=lambda _: str(broken))


def test_jars_are_fetched_once_and_said_aloud(tmp_path: Path) -> None:
    said: list[str] = []
    fetched: list[Path] = []

    def fetch(folder: Path) -> None:
        (folder / "one.jar").touch()
        fetched.append(folder)

    first = cached_jars(tmp_path, said.append, fetch)
    assert cached_jars(tmp_path, said.append, fetch) == first
    assert len(fetched) == len(said) == 1
    assert [path.name for path in first.iterdir()] == ["one.jar"]
    assert [path.name for path in tmp_path.iterdir()] == [f"kafka-{KAFKA_VERSION}"]


def test_two_at_once_both_end_with_all_jars(tmp_path: Path) -> None:
    together = threading.Barrier(2)
    found: list[Path] = []

    def fetch(folder: Path) -> None:
        together.wait(timeout=20)
        for name in ("one.jar", "two.jar"):
            (folder / name).touch()
        together.wait(timeout=20)

    def ask() -> None:
        found.append(cached_jars(tmp_path, fetch=fetch))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 2
    assert {path.name for path in found[0].iterdir()} == {"one.jar", "two.jar"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fetch(folder: Path) -> None:
        (folder / "half.jar").touch()
        raise StackError("no network")

    with pytest.raises(StackError, match="no network"):
        cached_jars(tmp_path, fetch=fetch)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def topic(kafka: str) -> str:
    name = f"test-{uuid.uuid4().hex}"
    client = AdminClient({"bootstrap.servers": kafka})  # an answer is lost with its client
    client.create_topics([NewTopic(name, 3, 1)])[name].result(ANSWER_S)
    return name


def produce(address: str, topic: str, values: list[bytes]) -> None:
    producer = ck.Producer({"bootstrap.servers": address})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(ANSWER_S) == 0


def read(address: str, topic: str, count: int) -> list[bytes | None]:
    reader = ck.Consumer(
        {"bootstrap.servers": address, "group.id": "g", "enable.auto.commit": False}
    )
    reader.assign([ck.TopicPartition(topic, 0, 0)])
    values: list[bytes | None] = []
    while len(values) < count:
        messages = reader.consume(count - len(values), ANSWER_S)
        assert messages, "nothing more came"
        values += [message.value() for message in messages]
    reader.close()
    return values


@pytest.mark.integration
def test_what_is_produced_is_consumed(kafka: str, topic: str) -> None:
    values = [f"value {n}".encode() for n in range(100)]
    produce(kafka, topic, values)
    assert read(kafka, topic, 100) == values


@pytest.mark.integration
def test_a_topic_that_nobody_made_does_not_exist(kafka: str) -> None:
    client = AdminClient({"bootstrap.servers": kafka})
    answer = client.list_topics("misspelt", timeout=ANSWER_S).topics["misspelt"]
    assert answer.error.code() == ck.KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.integration
def test_offsets_of_a_transaction_are_kept(kafka: str, topic: str) -> None:
    reader = ck.Consumer({"bootstrap.servers": kafka, "group.id": topic})
    producer = ck.Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(ANSWER_S)
    producer.begin_transaction()
    producer.send_offsets_to_transaction(
        [ck.TopicPartition(topic, 0, 9)], reader.consumer_group_metadata(), ANSWER_S
    )
    producer.commit_transaction(ANSWER_S)
    (answer,) = reader.committed([ck.TopicPartition(topic, 0)], timeout=ANSWER_S)
    assert answer.offset == 9
    reader.close()


@pytest.mark.integration
def test_a_killed_broker_comes_back_with_its_data_and_a_stop_leaves_no_process(
    kafka: str, tmp_path: Path
) -> None:
    node = prepare_kafka(tmp_path)
    with Supervisor([node.part(tmp_path / "kafka.log")]) as supervisor:
        supervisor.start()
        client = AdminClient({"bootstrap.servers": node.address})
        client.create_topics([NewTopic("t", 1, 1)])["t"].result(ANSWER_S)
        produce(node.address, "t", [b"kept"])
        first = supervisor.pids()["kafka"]
        listening = {
            one.laddr.ip.removeprefix("::ffff:")
            for one in psutil.Process(first).net_connections(kind="tcp")
            if one.status == psutil.CONN_LISTEN
        }
        assert listening == {LOOPBACK}
        psutil.Process(first).send_signal(signal.SIGKILL)

        def again() -> bool:
            supervisor.check()
            return supervisor.pids().get("kafka", first) != first and node.is_ready()

        wait_for(again, patience_s=60)
        assert read(node.address, "t", 1) == [b"kept"]
        second = supervisor.pids()["kafka"]
    assert is_gone(first)
    assert is_gone(second)
    assert not node.is_ready()


@pytest.mark.integration
def test_the_same_folder_goes_on_under_another_port(kafka: str, tmp_path: Path) -> None:
    with running_kafka(tmp_path) as node:
        client = AdminClient({"bootstrap.servers": node.address})
        client.create_topics([NewTopic("t", 1, 1)])["t"].result(ANSWER_S)
        produce(node.address, "t", [b"kept"])
    with running_kafka(tmp_path) as other:
        assert other.port != node.port
        assert read(other.address, "t", 1) == [b"kept"]


@pytest.mark.integration
def test_a_broker_that_cannot_listen_says_why(kafka: str, tmp_path: Path) -> None:
    node = prepare_kafka(tmp_path)
    config = tmp_path / "kafka.properties"
    taken = kafka.rsplit(":", maxsplit=1)[1]
    config.write_text(config.read_text().replace(f":{node.port}", f":{taken}"))
    with (
        Supervisor([node.part(tmp_path / "kafka.log")]) as supervisor,
        pytest.raises(StackError, match=r"(?s)kafka could not be started.*Address already in use"),
    ):
        supervisor.start()


@pytest.mark.integration
@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_parent_takes_its_broker_along(kafka: str, tmp_path: Path) -> None:
    source = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pettwin_pipeline.stack.apache_kafka import prepare_kafka\n"
        "from pettwin_pipeline.stack.supervisor import Supervisor\n"
        "folder = Path(sys.argv[1])\n"
        "supervisor = Supervisor([prepare_kafka(folder).part(folder / 'kafka.log')])\n"
        "supervisor.start()\n"
        "(folder / 'pid').write_text(str(supervisor.pids()['kafka']))\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", source, str(tmp_path)])
    wait_for(lambda: bool((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()), 60)
    process.kill()
    process.wait(timeout=20)
    wait_for(lambda: is_gone(int((tmp_path / "pid").read_text())))


def test_a_cluster_id_never_looks_like_an_option() -> None:
    dice = iter([uuid.UUID(bytes=b"\xf8" + bytes(15)), uuid.UUID(int=0)])
    assert draw_cluster_id(lambda: next(dice)) == "A" * 22
