"""`pettwin repartition` and `pettwin erase`: pets that moved, and pets that are to be forgotten.

Both hold every lane while they work: a run that is under way ends first, the next one begins after.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from pettwin_pipeline.adapters.baseline_files import BaselineFiles
from pettwin_pipeline.adapters.clock import SystemClock
from pettwin_pipeline.adapters.erasing import erase_from_files
from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.adapters.held_lanes import HeldLanes, held_lanes
from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.adapters.ledger import Ledger, open_ledger
from pettwin_pipeline.adapters.notification_file import NotificationFile
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.moves import Move, bring_home, forget_moved, plan_moves
from pettwin_pipeline.detection.screen import DETECTOR_VERSION
from pettwin_pipeline.detection.snapshots import Layer, Snapshot
from pettwin_pipeline.settings import Settings

PATIENCE_S: Final = 120.0
"""How long a run that is under way is waited for."""
SHOWN: Final = 20
"""Pets that are listed by name."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """The stream, with nobody at work on it."""

    settings: Settings
    ledger: Ledger
    files: BatchFiles
    topic: str
    epoch: str
    lanes: HeldLanes

    def baseline_files(self, partition: int) -> BaselineFiles:
        return BaselineFiles(self.files, self.topic, self.epoch, partition, DETECTOR_VERSION)


@contextmanager
def _stopped(why: str, say: Callable[[str], None]) -> Iterator[_Stream]:
    settings, clock = Settings.load(), SystemClock()
    files, topic = BatchFiles.at(settings.data_url), settings.kafka_topic
    with Kafka(settings) as kafka, closing(open_ledger(settings.ledger_url)) as ledger:
        epoch = kafka.topic_epoch(topic)
        say(f"waiting until no run works on {topic}")
        lanes = settings.pettwin_lanes
        with held_lanes(
            ledger, (topic, epoch), lanes, why, clock=clock, patience_s=PATIENCE_S
        ) as held:
            yield _Stream(settings, ledger, files, topic, epoch, held)


def repartition(say: Callable[[str], None], *, dry_run: bool) -> None:
    """Bring what was learnt of each pet to the partition where its readings come now.

    Raises:
        LanesBusyError: a run does not end.
        BaselinesMissingError: the baselines of a partition are gone.
    """
    with _stopped("repartition", say) as stream:
        ends = stream.ledger.scored_to(stream.topic, stream.epoch)
        baselines = {p: stream.baseline_files(p).read(end)[1] for p, end in ends.items()}
        moves = plan_moves(baselines)
        pets = sum(len(one.pet_ids) for one in baselines.values())
        if not moves:
            say(f"{pets:,} pets in {len(ends)} partitions: each is in one of them only")
            return
        for one in moves[:SHOWN]:
            left = ", ".join(map(str, one.left))
            say(
                f"{one.pet_id}: home is partition {one.home}, leaves {left}; learnt in "
                f"{one.learnt_in}"
            )
        if len(moves) > SHOWN:
            say(f"and {len(moves) - SHOWN:,} more")
        if dry_run:
            say(f"{len(moves):,} pets would be moved; nothing was changed")
            return
        _move(stream, baselines, moves, ends)
    say(f"{len(moves):,} pets moved; their next readings are scored against what was learnt")


def _move(
    stream: _Stream, baselines: dict[int, Baselines], moves: list[Move], ends: dict[int, int]
) -> None:
    """Homes first, all of them: a pet that is killed on its way is in two places, not in none."""
    upkeep, now_s = stream.ledger.upkeep, SystemClock().now_s()
    for one in moves:
        for partition in one.left:
            row = baselines[partition].pet_ids.index_of(one.pet_id)
            last_ms = int(baselines[partition].states["last_ms"][row])
            upkeep.end_episodes(one.pet_id, partition, last_ms)
    homes = bring_home(baselines, moves)
    for changed in (homes, forget_moved(baselines | homes, moves)):
        for partition, moved in changed.items():
            stream.lanes.keep()
            stream.baseline_files(partition).write(ends[partition], Snapshot(Layer(), moved))
        at = {partition: ends[partition] for partition in changed}
        upkeep.note_baselines_changed(stream.topic, stream.epoch, at, "repartition", now_s)


def erase(pet_id: str, say: Callable[[str], None]) -> None:
    """Take a pet out of everything that the pipeline keeps, and its readings up to now with it.

    Raises:
        LanesBusyError: a run does not end.
    """
    with _stopped("erase", say) as stream:
        # First: a reading that the broker still keeps is void from now on, whoever reads it.
        rows = stream.ledger.upkeep.erase(pet_id, SystemClock().now_s())
        files = erase_from_files(stream.files, pet_id, stream.lanes.keep)
        files |= _forget_notifications(stream.settings, pet_id)
        stream.ledger.upkeep.give_back()
    for what, number in (rows | files).items():
        done = "written anew" if what.startswith("files") else "removed"
        if number:
            say(f"{number:,} {what} {done}")
    if not any((rows | files).values()):
        say(f"nothing was kept of {pet_id}")
    settings = stream.settings
    say(
        f"its readings up to now are void. Not in reach: messages on {', '.join(settings.topics)} "
        "until the broker's retention passes; metadata of runs in Dagster, for "
        f"{settings.pettwin_keep_runs_days:g} days; what was sent to others already"
    )


def _forget_notifications(settings: Settings, pet_id: str) -> dict[str, int]:
    """Take a pet out of the file of notifications."""
    path = settings.notify_file
    if path is None:
        return {}
    file = NotificationFile(path, env=settings.dd_env, service=settings.dd_service)
    return {"lines of notifications": file.forget(pet_id)}
