"""The whole pipeline in this process: embedded broker, ledger, files, real Dagster runs."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import dagster as dg
import pytest
import sqlalchemy as sa

from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.kafka_messages import Outgoing
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.ledger_records import RangeRecord
from pettwin_pipeline.adapters.ledger_tables import open_engine
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.stack.embedded_broker import EmbeddedBroker
from pettwin_pipeline.state import Stack
from pettwin_pipeline_tests.stack.programs import wait_for

DAGSTERS_OWN = pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars` is deprecated:DeprecationWarning",
    "ignore:The `__fields__` attribute is deprecated:DeprecationWarning",
)
"""Dagster 1.13 looks at the fields of a resource in pydantic's old way."""
BEGIN_S = 1_772_323_200
"""2026-03-01 00:00 UTC."""
STEP_S = 5
_TIMES = {
    "ranges": ("requested_s", "not_before_s", "finished_s"),
    "leases": ("taken_s", "expires_s"),
    "episodes": ("noted_s",),
    "alerts": ("noted_s",),
    "label_days": ("changed_s", "asked_s"),
    "outbox": ("queued_s", "not_before_s", "tried_s", "ended_s"),
}


class Pipeline:
    """A pipeline whose outside is a broker and a folder, as `pettwin up` leaves them.

    Without an embedded broker it is the one that the given settings name.
    """

    def __init__(
        self,
        folder: Path,
        broker: EmbeddedBroker | None,
        patch: pytest.MonkeyPatch,
        partitions: int = 4,
        **given: str,
    ) -> None:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        folder.mkdir(exist_ok=True)
        patch.chdir(folder)
        state = {"PETTWIN_STATE_DIR": str(folder / "state"), "KAFKA_TIMEOUT_S": "5"}
        for name, value in (state | given).items():
            patch.setenv(name, value)
        self.settings = Settings.load()
        self.instance = dg.DagsterInstance.ephemeral()
        self._partitions = partitions
        self.connect(broker)

    def connect(self, broker: EmbeddedBroker | None) -> None:
        """Use this broker from now on."""
        if broker is not None:
            stack = Stack(os.getpid(), broker.address, "embedded", broker.epoch)
            self.settings.state.write_stack(stack)
        self.kafka = Kafka(self.settings)
        self.kafka.create_topics(dict.fromkeys(self.settings.topics, self._partitions))
        self._producer = self.kafka.producer()

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened anew: what other processes see."""
        return open_ledger(self.settings.ledger_url)

    @property
    def files(self) -> BatchFiles:
        """The files of the batches."""
        return BatchFiles.at(self.settings.data_url)

    def send(self, messages: Sequence[Outgoing], partition: int = 0) -> None:
        """Put messages into a partition of the readings."""
        for one in messages:
            self._producer.produce(
                self.settings.kafka_topic,
                one.value,
                one.key,
                partition=partition,
                timestamp=one.timestamp_ms,
            )
        assert self._producer.flush(5) == 0

    def sensor(self, name: str) -> dg.SensorDefinition:
        """A sensor of the code location."""
        sensor: dg.SensorDefinition = repository().get_sensor_def(name)
        return sensor

    def tick(self, name: str = "new_readings", cursor: str | None = None) -> Any:
        """What a tick of a sensor decides: run requests, or why there are none; and its cursor."""
        from pettwin_pipeline.defs.ports import Ports

        with dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            resources={"ports": Ports()},
            repository_def=repository(),
        ) as context:
            return self.sensor(name).evaluate_tick(context)

    def let_pass(self, seconds: float) -> None:
        """Make everything in the ledger so much older."""
        with open_engine(self.settings.ledger_url).begin() as sql:
            for table, columns in _TIMES.items():
                changes = ", ".join(f"{column} = {column} - :s" for column in columns)
                sql.execute(sa.text(f"UPDATE {table} SET {changes}"), {"s": seconds})  # noqa: S608

    def tick_wait(self) -> float:
        """Seconds from the failure of the latest range until it may be tried again."""
        (found,) = re.findall(r"again in (\d+) s", self.tick().skip_message)
        return float(found)

    def run(
        self, tags: Mapping[str, str] | None = None, assets: Sequence[str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """A run of the stream job, or of some of its assets; without tags one by hand."""
        job: dg.JobDefinition = repository().get_job("stream_job")
        return job.execute_in_process(
            instance=self.instance,
            tags=dict(tags or {}),
            raise_on_error=False,
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
        )

    def step(self) -> dg.ExecuteInProcessResult:
        """A tick and the one run that it requests."""
        (request,) = self.tick().run_requests
        return self.run(request.tags)

    def record(self) -> RangeRecord:
        """The latest range."""
        return self.ledger.recent(self.settings.kafka_topic, 1)[0]

    def committed(self) -> dict[int, int]:
        """Offsets of our group, by partition."""
        topic = self.settings.kafka_topic
        return self.kafka.committed(topic, self.kafka.partitions(topic))

    def messages(self, topic: str) -> list[ck.Message]:
        """Everything on a topic, in the order of partition and offset."""
        ends = self.kafka.high_watermarks(topic)
        reader = ck.Consumer(self.kafka.reading_config() | {"group.id": "tests"})
        reader.assign([ck.TopicPartition(topic, p, 0) for p, end in ends.items() if end])
        found: list[ck.Message] = []

        def are_there() -> bool:
            missing = sum(ends.values()) - len(found)
            got = reader.consume(missing, 0.1) if missing else []
            found.extend(one for one in got if one.error() is None)
            return len(found) == sum(ends.values())

        wait_for(are_there)
        reader.close()
        return sorted(found, key=lambda one: (one.partition(), one.offset()))


def repository() -> Any:
    """The code location, loaded where the settings of the test hold."""
    from pettwin_pipeline.definitions import defs

    return defs.get_repository_def()


def failures(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Why steps failed, by their name."""
    found = {}
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            told = data.user_failure_data and data.user_failure_data.description
            found[str(event.step_key)] = told or str(data.error)
    return found


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """The values of an asset's metadata in a run, tables as lists of rows."""
    (event,) = [
        one
        for one in result.get_asset_materialization_events()
        if one.asset_key == dg.AssetKey(asset)
    ]
    return {
        name: [record.data for record in one.records]
        if isinstance(one, dg.TableMetadataValue)
        else one.value
        for name, one in event.materialization.metadata.items()
    }


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Whether each check passed."""
    return {one.check_name: one.passed for one in result.get_asset_check_evaluations()}


def reading(pet: str, second: int, bpm: float) -> Outgoing:
    """A reading of a pet that lies still, so many seconds after BEGIN_S."""
    time_ms = (BEGIN_S + second) * 1000
    message = {
        "pet_id": pet,
        "timestamp": datetime.fromtimestamp(time_ms / 1000, tz=UTC).isoformat(),
        "species": "dog",
        "heart_rate": bpm,
        "activity_score": 1.0,
        "sleep_quality": 0.95,
    }
    return Outgoing(pet.encode(), json.dumps(message).encode(), time_ms)


def calm(pet: str, minutes: float, since_min: float = 0) -> list[Outgoing]:
    """A pet whose heart beats 60 times a minute, give or take 2."""
    seconds = range(round(since_min * 60), round((since_min + minutes) * 60), STEP_S)
    return [reading(pet, second, 60 + second // STEP_S % 5 - 2) for second in seconds]


def racing(pet: str, minutes: float, since_min: float) -> list[Outgoing]:
    """A pet whose heart beats 200 times a minute while it lies still."""
    seconds = range(round(since_min * 60), round((since_min + minutes) * 60), STEP_S)
    return [reading(pet, second, 200 + second // STEP_S % 5 - 2) for second in seconds]


NONSENSE = (
    Outgoing(b"rex", b"{broken"),
    Outgoing(b"rex", None),
    Outgoing(None, b'{"pet_id": "rex", "heart_rate": 60}'),
    Outgoing(b"bo", b"\xff\xfe\x00"),
)
"""Four messages that are not readings."""
