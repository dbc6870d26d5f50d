"""An Apache Kafka of the test's own, that it may stop, kill and pause."""

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pettwin_pipeline.stack.apache_kafka import ApacheKafka, prepare_kafka
from pettwin_pipeline.stack.ports import LOOPBACK
from pettwin_pipeline_tests.stack.programs import wait_for

PATIENCE_S: Final = 60


class OwnBroker:
    """One node; started again it goes on with its data, on its port."""

    def __init__(self, prepared: ApacheKafka) -> None:
        self._prepared = prepared
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port` of its listener without any protection."""
        return self._prepared.address

    def start(self) -> None:
        """Start it and wait until it answers."""
        part = self._prepared.part(self._prepared.folder / "kafka.log")
        with part.log.open("ab") as log:
            self._process = subprocess.Popen(part.command, stdout=log, stderr=log)
        wait_for(self._prepared.is_ready, PATIENCE_S)

    def stop(self) -> None:
        """End it as its owner would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_S)

    def pause(self) -> None:
        """Its connections stay, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It answers again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def own_broker(
    folder: Path, config: Mapping[str, str], listeners: Mapping[str, int] | None = None
) -> Iterator[OwnBroker]:
    """A broker while the block runs.

    Args:
        folder: keeps it.
        config: besides the usual one; a name that is there is replaced.
        listeners: ports by name, besides the usual listener.
    """
    prepared = prepare_kafka(folder)
    file = prepared.folder / "kafka.properties"
    text = file.read_text(encoding="utf-8")
    more = "".join(f"{name}://{LOOPBACK}:{port}," for name, port in (listeners or {}).items())
    for name in ("listeners", "advertised.listeners"):
        text = text.replace(f"\n{name}=", f"\n{name}={more}")
    text += "".join(f"{name}={value}\n" for name, value in config.items())
    file.write_text(text, encoding="utf-8")
    broker = OwnBroker(prepared)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()
