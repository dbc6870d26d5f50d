"""What is kept: JSON documents by kind and id, in one SQLite file, in the order of their making.

Survives a restart. Knows nothing of what the documents mean. A document that is read is a copy: to
change it, put it back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from pettwin_pipeline.emulator.tables import LockedFile, whole

FORMAT: Final = 1
_TABLES: Final = """
create table documents (
    kind text not null,
    id text not null,
    position integer primary key autoincrement,
    content blob not null,
    unique (kind, id)
);
"""
Document = dict[str, Any]
"""A JSON object."""


class Storage(LockedFile):
    """Documents in a file, or in memory without one. Safe to use from several threads."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is absent.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        super().__init__(path, FORMAT, _TABLES)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is written in the block is written whole, or not at all."""
        with self._lock, whole(self._base):
            yield

    def put(self, kind: str, key: str | int, document: Document) -> None:
        """Keep a document: in place of the one with its id, or as the newest of its kind."""
        content = msgspec.json.encode(document)
        with self._lock:
            self._base.execute(
                "insert into documents (kind, id, content) values (?, ?, ?) "
                "on conflict (kind, id) do update set content = excluded.content",
                (kind, str(key), content),
            )

    def get(self, kind: str, key: str | int) -> Document | None:
        """A document, or None."""
        with self._lock:
            row = self._base.execute(
                "select content from documents where kind = ? and id = ?", (kind, str(key))
            ).fetchone()
        return None if row is None else _read(row[0])

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, oldest first."""
        with self._lock:
            rows = self._base.execute(
                "select content from documents where kind = ? order by position", (kind,)
            ).fetchall()
        return [_read(row[0]) for row in rows]

    def has(self, kind: str, key: str | int) -> bool:
        """Whether there is one."""
        with self._lock:
            row = self._base.execute(
                "select 1 from documents where kind = ? and id = ?", (kind, str(key))
            ).fetchone()
        return row is not None

    def remove(self, kind: str, key: str | int) -> bool:
        """Forget a document; whether there was one."""
        with self._lock:
            gone = self._base.execute(
                "delete from documents where kind = ? and id = ?", (kind, str(key))
            )
        return gone.rowcount > 0

    def keep_newest(self, kind: str, count: int) -> None:
        """Forget all but the newest of a kind."""
        with self._lock:
            self._base.execute(
                "delete from documents where kind = ? and position <= ("
                "select position from documents where kind = ? "
                "order by position desc limit 1 offset ?)",
                (kind, kind, count),
            )

    def counts(self) -> dict[str, int]:
        """How many documents there are of each kind."""
        with self._lock:
            rows = self._base.execute("select kind, count(*) from documents group by kind")
            return dict(rows.fetchall())

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._base.execute("delete from documents")


def _read(content: bytes) -> Document:
    document: Document = msgspec.json.decode(content)
    return document
