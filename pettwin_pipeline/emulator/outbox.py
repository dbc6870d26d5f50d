"""The outbox: every notification of a monitor, one entry a handle, in one SQLite file.

Chats, pagers and mail are told here and nowhere else. For a webhook the entry says besides how its
posting went. Secrets are not in it. Survives a restart. Safe to use from several threads.
"""

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from pettwin_pipeline.emulator.tables import LockedFile

Entry = dict[str, Any]
"""A JSON object: `number`, `at`, `handle`, `kind`, `status`, `title`, `text` and what is known."""
Posting = Literal["waiting", "delivered", "refused", "failed"]
"""Of a webhook; `kept` of everything else."""

FORMAT: Final = 1
MOST: Final = 20_000
"""So many entries are kept, the newest."""
_TRIM_EVERY: Final = 500
_TABLES: Final = """
create table entries (
    number integer primary key autoincrement,
    kind text not null,
    handle text not null,
    status text not null,
    content blob not null
);
create index entries_of_status on entries (status, number);
"""


class Outbox(LockedFile):
    """Entries, newest first."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is absent; None: in memory.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        super().__init__(path, FORMAT, _TABLES)
        self._since_trim = 0

    def keep(self, entry: Entry) -> Entry:
        """Keep an entry; it is given back with its number."""
        with self._lock:
            made = self._base.execute(
                "insert into entries (kind, handle, status, content) values (?, ?, ?, ?)",
                (entry["kind"], entry["handle"], entry["status"], msgspec.json.encode(entry)),
            )
            self._since_trim += 1
            if self._since_trim >= _TRIM_EVERY:
                self._since_trim = 0
                self._base.execute(
                    "delete from entries where number <= "
                    "(select max(number) from entries) - ? and status <> 'waiting'",
                    (MOST,),
                )
            return {"number": made.lastrowid, **entry}

    def change(self, number: int, **told: Any) -> Entry | None:
        """Tell more of an entry; None where it is gone."""
        with self._lock:
            entry = self.get(number)
            if entry is None:
                return None
            changed = entry | told
            content = {name: value for name, value in changed.items() if name != "number"}
            self._base.execute(
                "update entries set status = ?, content = ? where number = ?",
                (changed["status"], msgspec.json.encode(content), number),
            )
            return changed

    def get(self, number: int) -> Entry | None:
        """An entry."""
        with self._lock:
            row = self._base.execute(
                "select number, content from entries where number = ?", (number,)
            ).fetchone()
        return None if row is None else _read(row)

    def newest(
        self,
        count: int,
        *,
        kind: str | None = None,
        handle: str | None = None,
        status: str | None = None,
        before: int | None = None,
    ) -> list[Entry]:
        """So many entries, newest first.

        Args:
            count: how many at most.
            kind: webhook, slack, pagerduty, email, all and so on.
            handle: without the at sign.
            status: kept, or how a webhook's posting went.
            before: only those with a lower number: the page that follows.
        """
        asked = {"kind": kind, "handle": handle, "status": status}
        given = {name: value for name, value in asked.items() if value is not None}
        wanted = "".join(f" and {name} = ?" for name in given)
        place = 2**62 if before is None else before
        with self._lock:
            rows = self._base.execute(
                "select number, content from entries "  # noqa: S608 - the names are those above
                f"where number < ?{wanted} order by number desc limit ?",
                (place, *given.values(), count),
            ).fetchall()
        return [_read(row) for row in rows]

    def waiting(self) -> list[int]:
        """The numbers of webhooks that are not posted yet, oldest first."""
        with self._lock:
            rows = self._base.execute(
                "select number from entries where status = 'waiting' order by number"
            ).fetchall()
        return [row[0] for row in rows]

    def counts(self) -> dict[str, int]:
        """How many there are by status."""
        with self._lock:
            rows = self._base.execute("select status, count(*) from entries group by status")
            return dict(rows.fetchall())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._base.execute("delete from entries")


def _read(row: tuple[int, bytes]) -> Entry:
    content: Entry = msgspec.json.decode(row[1])
    return {"number": row[0], **content}
