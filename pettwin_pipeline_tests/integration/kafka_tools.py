"""Kafka's own command line, of the same version as the broker, from Maven Central."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

from pettwin_pipeline.stack.apache_kafka import KAFKA_VERSION, cached_jars

ARTIFACT: Final = f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
GROUPS: Final = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"


def fetch_tools(jars: Path) -> None:
    """Copy the jar of the tools into a folder; what they stand on came with the broker."""
    maven = shutil.which("mvn") or "mvn"
    with tempfile.TemporaryDirectory() as empty:
        options = (f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={jars}")
        subprocess.run([maven, "-q", "-B", GOAL, *options], cwd=empty, check=True)


def lag_by_kafka(address: str, group: str) -> dict[int, int]:
    """What `kafka-consumer-groups.sh --describe` gives as lag, by partition of the one topic.

    It lists partitions only that the group has committed.
    """
    kept = Path(platformdirs.user_cache_dir("pettwin"))
    tools = cached_jars(kept / "tools", fetch=fetch_tools)
    path = f"{tools}/*:{cached_jars(kept)}/*"
    asked = ("--bootstrap-server", address, "--describe", "--group", group)
    done = subprocess.run(
        [shutil.which("java") or "java", "-cp", path, GROUPS, *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    partition, lag = head.index("PARTITION"), head.index("LAG")
    return {int(row[partition]): int(row[lag]) for row in rows}
