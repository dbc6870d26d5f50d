"""`pettwin up`: the local parts of the stack, supervised, until somebody asks for an end.

The broker is the embedded one, a real Apache Kafka on this machine, or the one that
KAFKA_BOOTSTRAP_SERVERS names. With `--dagster` the code server, the daemon and the pages run too.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import IO, Final, Literal

from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.commands.topics import create_topics
from pettwin_pipeline.environment import hand_down
from pettwin_pipeline.errors import SettingsError, StackError
from pettwin_pipeline.settings import Broker, Settings
from pettwin_pipeline.stack.apache_kafka import ApacheKafka, prepare_kafka
from pettwin_pipeline.stack.dagster_parts import write_dagster_home
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline.stack.local_datadog import local_datadog_part
from pettwin_pipeline.stack.ports import LOOPBACK, answers
from pettwin_pipeline.stack.supervisor import Part, Supervisor
from pettwin_pipeline.state import Stack, StateFolder

BrokerChoice = Literal["embedded", "kafka"]
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
LOCK: Final = "up.lock"
"""In the state folder: held by the one stack that runs there, before it has an address to tell."""
LOCAL_PARTITIONS: Final = 4
"""Of the readings on a Kafka that `pettwin up` runs: as many as the embedded broker has."""


@dataclass(frozen=True, slots=True)
class LocalBroker:
    """The broker that a stack uses: where it is, and its process where it is one of ours."""

    broker: Broker
    parts: tuple[Part, ...] = ()


@contextmanager
def local_broker(
    settings: Settings, choice: BrokerChoice | None, say: Callable[[str], None]
) -> Iterator[LocalBroker]:
    """The broker of the stack, for as long as the block runs.

    Raises:
        SettingsError: a local broker is asked for and another one is named by the settings.
        StackError: it cannot be started.
    """
    if settings.kafka_bootstrap_servers:
        if choice:
            raise SettingsError(
                f"--broker {choice} and KAFKA_BOOTSTRAP_SERVERS="
                f"{settings.kafka_bootstrap_servers!r}: choose one of them"
            )
        yield LocalBroker(settings.broker())
    elif choice == "kafka":
        kafka = prepare_kafka(settings.state.root / "kafka", say)
        broker = Broker(kafka.address, "kafka", "", "the Apache Kafka of this stack")
        yield LocalBroker(broker, (_kafka_part(settings, kafka, broker),))
    else:
        with EmbeddedBroker(settings.topics) as embedded:
            yield LocalBroker(embedded.broker())


def _kafka_part(settings: Settings, kafka: ApacheKafka, broker: Broker) -> Part:
    """Kafka is ready once its topics are there: what starts after it may rely on them."""
    part = kafka.part(settings.state.logs / "kafka.log")

    def ready() -> bool:
        if not kafka.is_ready():
            return False
        with Kafka(settings, broker) as client:
            create_topics(settings, client, LOCAL_PARTITIONS)
        return True

    return replace(part, ready=ready)


@contextmanager
def claimed(state: StateFolder) -> Iterator[None]:
    """The state folder is ours while the block runs; afterwards it says that nothing runs.

    Raises:
        StackError: another stack runs in this folder, or is about to.
    """
    state.root.mkdir(parents=True, exist_ok=True)
    with (state.root / LOCK).open("wb") as lock:
        ours = _lock(lock)
        running = state.read_stack()
        # A file that names us was left by one that had our number: in containers all are number 1.
        if not ours or (running is not None and running.pid != os.getpid()):
            who = "another process" if running is None else f"process {running.pid}"
            raise StackError(
                f"a stack runs in {state.root} already ({who}): stop it, or set "
                "PETTWIN_STATE_DIR to another folder"
            )
        try:
            yield
        finally:
            state.remove_stack()


def _lock(file: IO[bytes]) -> bool:
    """Whether nobody else has it; the kernel lets go of it when this process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: what stack.json says must do
        return True
    return True


def stack_writer(
    state: StateFolder, broker: Broker, addresses: Mapping[str, str]
) -> Callable[[Mapping[str, int]], None]:
    """Takes the process ids of the parts, and keeps `stack.json` true."""

    def write(pids: Mapping[str, int]) -> None:
        stack = Stack(
            pid=os.getpid(),
            broker=broker.bootstrap,
            broker_kind=broker.kind,
            epoch=broker.epoch,
            children=dict(pids),
            addresses=dict(addresses),
        )
        state.write_stack(stack)

    return write


def dagster_parts(
    state: StateFolder,
    ui_port: int | None,
    env: Mapping[str, str] = NOTHING,
) -> tuple[Part, ...]:
    """Code server, daemon and, with a port, the pages, all in this state folder.

    Args:
        state: of the stack.
        ui_port: of the pages; None: none.
        env: settings above those that this process was given.
    """
    home = write_dagster_home(state.dagster_home)
    full = hand_down(Settings.names(), {**env, "PETTWIN_STATE_DIR": str(state.root)})
    return home.parts(state.logs, full, ui_port)


def run(
    choice: BrokerChoice | None, *, dagster: bool, port: int, say: Callable[[str], None]
) -> None:
    """Run the stack until Ctrl-C or a signal.

    Raises:
        StackError: it cannot be started, or a part of it cannot be kept running.
    """
    settings = Settings.load()
    state = settings.state
    BatchFiles.at(settings.data_url)  # a wrong address is better said now than by every run
    if dagster and answers(port):
        raise StackError(f"port {port} is taken: choose another one with --port")
    say(f"state folder: {state.root}")
    with claimed(state), local_broker(settings, choice, say) as local:
        _check(settings, local)
        datadog = local_datadog_part(state, settings.webhook_hosts)
        addresses = dict(datadog.addresses)
        if dagster:
            addresses["dagster"] = f"http://{LOOPBACK}:{port}"
        parts = (*local.parts, datadog.part, *(dagster_parts(state, port) if dagster else ()))
        write = stack_writer(state, local.broker, addresses)
        write({})
        supervisor = Supervisor(parts, say=say, on_change=write)
        supervisor.run(lambda: _welcome(settings, addresses, say))
    say("stopped")


def _check(settings: Settings, local: LocalBroker) -> None:
    """A broker that is not ours must answer and have the topics before anything starts."""
    if local.broker.source == "KAFKA_BOOTSTRAP_SERVERS":
        with Kafka(settings, local.broker) as kafka:
            for topic in settings.topics:
                kafka.partitions(topic)


def _welcome(settings: Settings, addresses: Mapping[str, str], say: Callable[[str], None]) -> None:
    for service in settings.services():
        say(f"{service.name} ({service.state}): {service.detail}")
    if "dagster" in addresses:
        say(f"Dagster: {addresses['dagster']}")
    else:
        say("Dagster: not started; `pettwin up --dagster` starts it")
    say(f"local Datadog (not Datadog, not affiliated with it): {addresses['datadog']}")
    say(f"logs: {settings.state.logs}")
    say("send readings from another terminal with `pettwin simulate` or `pettwin replay`")
    say("up; Ctrl-C stops everything")
