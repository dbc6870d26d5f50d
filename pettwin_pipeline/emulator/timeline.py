"""What happened at a time: runs of service checks, events, logs. In one SQLite file, by time.

Survives a restart. Knows documents, their time and a label to find them by; not what they mean.
What is read is a copy. Retention is by number: the oldest of a kind go first.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from pettwin_pipeline.emulator.tables import LockedFile, whole

Kind = Literal["check", "event", "log"]
Document = dict[str, Any]
"""A JSON object."""

FORMAT: Final = 1
MOST: Final[Mapping[Kind, int]] = {"check": 200_000, "event": 100_000, "log": 200_000}
"""So many of each are kept, the newest."""
MOST_BYTES: Final[Mapping[Kind, int]] = {
    "check": 100_000_000,
    "event": 300_000_000,
    "log": 500_000_000,
}
"""And of these no more than that many bytes."""
_TRIM_EVERY: Final = 1_000
_PAGE: Final = 500
_EARLIEST, _LATEST = -(2**62), 2**62
_TABLES: Final = """
create table happened (
    number integer primary key autoincrement,
    kind text not null,
    at_ms integer not null,
    id text not null,
    label text not null,
    content blob not null,
    unique (kind, id)
);
create index happened_at on happened (kind, at_ms, id);
create index happened_labelled on happened (kind, label, at_ms, id);
create index happened_arrived on happened (kind, label, number);
"""


class Timeline(LockedFile):
    """Documents with a time, in a file or in memory without one. Safe from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is absent.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        super().__init__(path, FORMAT, _TABLES)
        self._since_trim = 0

    def keep(self, kind: Kind, at_ms: int, key: str, document: Document, label: str = "") -> None:
        """Keep one; in place of the one with its id.

        Args:
            kind: what it is.
            at_ms: when it happened.
            key: its id, one of its kind.
            document: what is given back.
            label: what it can be found by besides: the name of a check.
        """
        self.keep_all(kind, [(at_ms, key, document)], label)

    def keep_all(
        self, kind: Kind, documents: list[tuple[int, str, Document]], label: str = ""
    ) -> None:
        """Keep several, all or none."""
        rows: list[tuple[str, int, str, str, bytes]] = [
            (kind, at_ms, key, label, msgspec.json.encode(document))
            for at_ms, key, document in documents
        ]
        with self._lock:
            self._put(rows)
            self._since_trim += len(rows)
            if self._since_trim >= _TRIM_EVERY:
                self._since_trim = 0
                self._trim()

    def _put(self, rows: list[tuple[str, int, str, str, bytes]]) -> None:
        with whole(self._base):
            self._base.executemany(
                "insert into happened (kind, at_ms, id, label, content) values (?, ?, ?, ?, ?) "
                "on conflict (kind, id) do update set at_ms = excluded.at_ms, "
                "label = excluded.label, content = excluded.content",
                rows,
            )

    def get(self, kind: Kind, key: str) -> Document | None:
        """The one with this id, or None."""
        with self._lock:
            row = self._base.execute(
                "select content from happened where kind = ? and id = ?", (kind, key)
            ).fetchone()
        return None if row is None else _read(row[0])

    def between(
        self,
        kind: Kind,
        from_ms: int = _EARLIEST,
        to_ms: int = _LATEST,
        *,
        label: str | None = None,
        newest_first: bool = True,
    ) -> Iterator[Document]:
        """Those from one time to another, both included, in order; read a page at a time.

        Args:
            kind: what they are.
            from_ms: the earliest.
            to_ms: the latest.
            label: only those with it.
            newest_first: else oldest first; of one time by id, in the same direction.
        """
        way, beyond = ("desc", "<") if newest_first else ("asc", ">")
        labelled = "" if label is None else "and label = ? "
        given = () if label is None else (label,)
        query = (
            "select at_ms, id, content from happened "  # noqa: S608 - all of it is said here
            "where kind = ? and at_ms between ? and ? "
            f"{labelled}and (at_ms, id) {beyond} (?, ?) order by at_ms {way}, id {way} limit ?"
        )
        place: tuple[int, str] = (to_ms, "\U0010ffff") if newest_first else (from_ms, "")
        while True:
            with self._lock:
                rows = self._base.execute(
                    query, (kind, from_ms, to_ms, *given, *place, _PAGE)
                ).fetchall()
            for _, _, content in rows:
                yield _read(content)
            if len(rows) < _PAGE:
                return
            place = rows[-1][0], rows[-1][1]

    def arrived(self, kind: Kind, label: str, after: int = 0) -> Iterator[tuple[int, Document]]:
        """Those with a label that came after the one of a number, in the order of their coming."""
        while True:
            with self._lock:
                rows = self._base.execute(
                    "select number, content from happened where kind = ? and label = ? "
                    "and number > ? order by number limit ?",
                    (kind, label, after, _PAGE),
                ).fetchall()
            for number, content in rows:
                yield number, _read(content)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        with self._lock:
            rows = self._base.execute("select kind, count(*) from happened group by kind")
            return dict(rows.fetchall())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._base.execute("delete from happened")

    def _trim(self) -> None:
        """Forget the oldest of a kind of which there are too many, or too much."""
        for kind, most in MOST.items():
            count, size = self._base.execute(
                "select count(*), total(length(content)) from happened where kind = ?", (kind,)
            ).fetchone()
            if size > MOST_BYTES[kind]:
                most = min(most, int(count * MOST_BYTES[kind] / size))  # noqa: PLW2901
            if count > most:
                self._base.execute(
                    "delete from happened where number in (select number from happened "
                    "where kind = ? order by at_ms, id limit ?)",
                    (kind, count - most),
                )


def _read(content: bytes) -> Document:
    document: Document = msgspec.json.decode(content)
    return document
