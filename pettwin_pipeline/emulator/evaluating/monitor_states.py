"""The states of monitors, kept: their records, and when each group changed its state.

One SQLite file beside the others; survives a restart. Records are values: who has one may go on
reading it while the next is written. Safe to use from several threads.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.emulator.evaluating.records import (
    MonitorRecord,
    decode_record,
    encode_record,
    rewound,
)
from pettwin_pipeline.emulator.tables import LockedFile, whole

FORMAT: Final = 1
MOST_CHANGES: Final = 20_000
"""So many changes of state are kept of one monitor, the newest."""
_TRIM_EVERY: Final = 1_000
_TABLES: Final = """
create table records (monitor_id integer primary key, content blob not null);
create table changes (
    number integer primary key autoincrement,
    monitor_id integer not null,
    at_s real not null,
    scope blob not null,
    status text not null
);
create index changes_of on changes (monitor_id, at_s, number);
"""


@dataclass(frozen=True, slots=True)
class StatusChange:
    """From when on a group of a monitor was in a state."""

    group: Group
    at_s: float
    status: Status


class MonitorStates(LockedFile):
    """Records by the id of their monitor, and the changes of states."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is absent; None: in memory.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        super().__init__(path, FORMAT, _TABLES)
        self._records: dict[int, MonitorRecord] = {}
        self._since_trim = 0
        self.generation = 0
        """Counts how often all was forgotten: what was found before that is not kept after it."""
        for monitor_id, content in self._base.execute("select monitor_id, content from records"):
            self._records[monitor_id] = decode_record(content)

    def get(self, monitor_id: int) -> MonitorRecord | None:
        """What is remembered of a monitor; None before its first evaluation."""
        return self._records.get(monitor_id)

    @contextmanager
    def unless_forgotten(self, generation: int) -> Iterator[bool]:
        """Whether all is remembered still; in the block nothing is forgotten."""
        with self._lock:
            yield generation == self.generation

    def keep(
        self, records: Mapping[int, MonitorRecord], changes: Iterable[tuple[int, StatusChange]]
    ) -> None:
        """Keep what a round found, whole."""
        rows = [(monitor_id, encode_record(record)) for monitor_id, record in records.items()]
        moved = [
            (monitor_id, one.at_s, msgspec.json.encode(one.group), one.status)
            for monitor_id, one in changes
        ]
        with self._lock:
            with whole(self._base):
                self._base.executemany(
                    "insert into records (monitor_id, content) values (?, ?) "
                    "on conflict (monitor_id) do update set content = excluded.content",
                    rows,
                )
                self._base.executemany(
                    "insert into changes (monitor_id, at_s, scope, status) values (?, ?, ?, ?)",
                    moved,
                )
            self._records.update(records)
            self._since_trim += len(moved)
            if self._since_trim >= _TRIM_EVERY:
                self._since_trim = 0
                self._trim()

    def changes(
        self, monitor_id: int, until_s: float, scope: Group | None = None
    ) -> list[StatusChange]:
        """The changes of a monitor up to a time, oldest first; of one group, or of all."""
        with self._lock:
            rows = self._base.execute(
                "select scope, at_s, status from changes where monitor_id = ? and at_s <= ? "
                "order by at_s, number",
                (monitor_id, until_s),
            ).fetchall()
        found = [
            StatusChange(msgspec.json.decode(group, type=Group), at_s, Status(status))
            for group, at_s, status in rows
        ]
        return found if scope is None else [one for one in found if one.group == scope]

    def forget_all_but(self, monitor_ids: Iterable[int]) -> None:
        """Forget monitors that were deleted."""
        gone = self._records.keys() - set(monitor_ids)
        if not gone:
            return
        with self._lock:
            with whole(self._base):
                for table in ("records", "changes"):
                    self._base.executemany(
                        f"delete from {table} where monitor_id = ?",  # noqa: S608 - two names, above
                        [(one,) for one in gone],
                    )
            for one in gone:
                self._records.pop(one, None)

    def rewind(self, now_s: float) -> None:
        """The clock was set back: what was remembered of later is over."""
        with self._lock:
            changed = {
                monitor_id: made
                for monitor_id, record in self._records.items()
                if (made := rewound(record, now_s)) is not record
            }
            self._base.execute("delete from changes where at_s > ?", (now_s,))
            self.keep(changed, [])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.generation += 1
            self._records.clear()
            self._base.execute("delete from records")
            self._base.execute("delete from changes")

    def _trim(self) -> None:
        self._base.execute(
            "delete from changes where number in (select number from (select number, row_number() "
            "over (partition by monitor_id order by at_s desc, number desc) as place from changes) "
            "where place > ?)",
            (MOST_CHANGES,),
        )
