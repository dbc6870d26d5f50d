"""A real Apache Kafka on this machine, without installing one: jars of Maven Central, Java, KRaft.

The jars are fetched once per user. One node is broker and controller, listens on loopback only
and keeps its data in the folder that it is given: the same folder goes on where it stopped. Knows
nothing of topics and clients.
"""

import base64
import contextlib
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import confluent_kafka as ck
import platformdirs
from confluent_kafka.admin import AdminClient

from pettwin_pipeline.errors import StackError
from pettwin_pipeline.stack.ports import LOOPBACK, answers, free_ports
from pettwin_pipeline.stack.supervisor import Part, Supervisor
from pettwin_pipeline.stack.templates import render

KAFKA_VERSION: Final = "4.3.0"
LOG4J_VERSION: Final = "2.25.4"
"""Of the log writer, which Kafka's artifact does not bring: the version of its log4j-core."""
OLDEST_JAVA: Final = 17
OTHER_WAY: Final = "or run Kafka with `docker compose` and set KAFKA_BOOTSTRAP_SERVERS"
MAVEN_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
JAVA_OPTIONS: Final = (
    "-Xms64m",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)
_MAVEN_WITHIN_S: Final = 600
_FORMAT_WITHIN_S: Final = 60
_SHOWN_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class ApacheKafka:
    """A node that is ready to be started: jars, configuration and formatted storage are there."""

    folder: Path
    """Configuration and data."""
    jars: Path
    port: int

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def part(self, log: Path) -> Part:
        """The process, for a supervisor; started again it goes on with its data and its port."""
        return Part(
            name="kafka",
            command=(*_java(self.folder, self.jars), "kafka.Kafka", str(_config(self.folder))),
            env={},
            log=log,
            ready=self.is_ready,
            ready_within_s=90.0,
            stop_within_s=20.0,
        )

    def is_ready(self) -> bool:
        """Whether the broker answers a client and names itself."""
        if not answers(self.port):
            return False
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2.0).brokers)
        except ck.KafkaException:
            return False


def prepare_kafka(folder: Path, say: Callable[[str], None] = lambda _: None) -> ApacheKafka:
    """Fetch the jars where they are missing, write the configuration, format the storage.

    Args:
        folder: keeps configuration and data.
        say: takes a line for people before something that takes long.

    Raises:
        StackError: Java or Maven is missing or too old, or one of them failed.
    """
    java_version()
    jars = cached_jars(Path(platformdirs.user_cache_dir("pettwin")), say)
    folder = folder.resolve()
    (folder / "data").mkdir(parents=True, exist_ok=True)
    port, controller_port = free_ports(2)
    settings = render(
        "kafka.properties",
        port=port,
        controller_port=controller_port,
        data=(folder / "data").as_posix(),
    )
    _config(folder).write_text(settings, encoding="utf-8")
    (folder / "log4j2.properties").write_text(render("kafka-log4j2.properties"), encoding="utf-8")
    if not (folder / "data" / "meta.properties").exists():
        _format(folder, jars)
    return ApacheKafka(folder, jars, port)


@contextlib.contextmanager
def running_kafka(
    folder: Path, say: Callable[[str], None] = lambda _: None
) -> Iterator[ApacheKafka]:
    """A Kafka that runs while the block does; its log is `kafka.log` in the folder.

    Raises:
        StackError: see `prepare_kafka`; or it does not start.
    """
    kafka = prepare_kafka(folder, say)
    with Supervisor([kafka.part(kafka.folder / "kafka.log")], say=say) as supervisor:
        supervisor.start()
        yield kafka


def java_version(find: Callable[[str], str | None] = shutil.which) -> int:
    """The major version of the Java that will be used.

    Raises:
        StackError: there is none, or it is older than `OLDEST_JAVA`.
    """
    needed = f"Apache Kafka needs Java {OLDEST_JAVA} or newer"
    java = find("java")
    if java is None:
        raise StackError(f"{needed} and there is no `java` here: install it, {OTHER_WAY}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = parse_java_version(answer.stderr + answer.stdout)
    if found is None or found < OLDEST_JAVA:
        what = "an unknown version" if found is None else f"version {found}"
        raise StackError(f"{needed} and {java} is {what}: install a newer one, {OTHER_WAY}")
    return found


def parse_java_version(text: str) -> int | None:
    """The major version in what `java -version` prints; None where there is none."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


def cached_jars(
    cache: Path,
    say: Callable[[str], None] = lambda _: None,
    fetch: Callable[[Path], None] | None = None,
) -> Path:
    """The folder of the jars, fetched if it is not there yet.

    They are fetched beside and moved in whole: two processes at the same time both end with a
    complete folder, the slower one throws its copy away.

    Args:
        cache: keeps the folder.
        say: takes a line before they are fetched.
        fetch: fills a folder with jars; the default asks Maven Central.

    Raises:
        StackError: they cannot be fetched.
    """
    jars = cache.resolve() / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    cache.mkdir(parents=True, exist_ok=True)
    say(f"fetching Apache Kafka {KAFKA_VERSION} from Maven Central (44 MB, once)")
    with tempfile.TemporaryDirectory(prefix="kafka-", dir=cache.resolve()) as temporary:
        fetched = Path(temporary) / "jars"
        fetched.mkdir()
        (fetch or fetch_jars)(fetched)
        with contextlib.suppress(OSError):
            fetched.rename(jars)
    if not jars.is_dir():
        raise StackError(f"the jars of Apache Kafka cannot be kept in {cache}: make it writable")
    return jars


def fetch_jars(target: Path, find: Callable[[str], str | None] = shutil.which) -> None:
    """Copy Kafka and everything that it needs at run time into a folder, with Maven.

    Raises:
        StackError: there is no Maven, or it failed.
    """
    maven = find("mvn")
    if maven is None:
        raise StackError(
            "Apache Kafka is fetched from Maven Central and there is no `mvn` here: install Maven, "
            f"{OTHER_WAY}"
        )
    pom = target.parent / "pom.xml"
    text = render("kafka-pom.xml", version=KAFKA_VERSION, log4j_version=LOG4J_VERSION)
    pom.write_text(text, encoding="utf-8")
    options = ("-DincludeScope=runtime", f"-DoutputDirectory={target}")
    command = [maven, "-q", "-B", "-f", str(pom), MAVEN_GOAL, *options]
    _run(command, _MAVEN_WITHIN_S, f"Maven cannot fetch Apache Kafka {KAFKA_VERSION}")
    if not (target / f"kafka_2.13-{KAFKA_VERSION}.jar").is_file():
        raise StackError(f"Maven fetched no Apache Kafka {KAFKA_VERSION}: look at its settings")


def draw_cluster_id(dice: Callable[[], uuid.UUID] = uuid.uuid4) -> str:
    """An id as Kafka writes it: one that begins with `-` would be taken for an option."""
    while True:
        drawn = base64.urlsafe_b64encode(dice().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


def _format(folder: Path, jars: Path) -> None:
    options = ("--cluster-id", draw_cluster_id(), "--config", str(_config(folder)))
    command = [*_java(folder, jars), "kafka.tools.StorageTool", "format", *options]
    _run(command, _FORMAT_WITHIN_S, f"the storage of Apache Kafka in {folder} cannot be formatted")


def _run(command: list[str], within_s: int, failure: str) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=within_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{failure}: no end after {within_s} s; {OTHER_WAY}") from None
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:]
        told = "\n".join(f"  {line}" for line in lines)
        raise StackError(f"{failure}; {OTHER_WAY}:\n{told}")


def _config(folder: Path) -> Path:
    return folder / "kafka.properties"


def _java(folder: Path, jars: Path) -> tuple[str, ...]:
    logging = f"-Dlog4j2.configurationFile={(folder / 'log4j2.properties').as_uri()}"
    return (shutil.which("java") or "java", *JAVA_OPTIONS, logging, "-cp", f"{jars}/*")
