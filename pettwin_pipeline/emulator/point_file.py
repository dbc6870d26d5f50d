"""The file of points: series, a journal of what came, and packed hours. SQLite in WAL mode.

What is in the journal survives the end of the process, however it ends; once an hour is over its
points are packed by metric, and its journal goes. An hour knows up to which entry of the journal it
holds what came, so that nothing is taken twice after an end in between.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec
import zstandard

from pettwin_pipeline.datadog_protocol.rolling import StoredSeries
from pettwin_pipeline.emulator.tables import opened_base, whole

FORMAT: Final = 1
_TABLES: Final = """
create table series (
    key integer primary key,
    metric text not null,
    tags text not null,
    type text not null,
    interval_s integer not null,
    seen_s integer not null
);
create table journal (
    number integer primary key autoincrement,
    hour integer not null,
    content blob not null
);
create index journal_hours on journal (hour);
create table hours (
    metric text not null,
    hour integer not null,
    sketched integer not null,
    journal_to integer not null,
    slots blob not null,
    points blob not null,
    unique (metric, hour, sketched)
);
create index hours_by_age on hours (hour);
"""


class Entry(msgspec.Struct, array_like=True):
    """What came at once into one hour.

    Args:
        keys: of the series, each 4 bytes.
        times: unix time of each, 8 bytes.
        values: 8 bytes each.
        sketches: (key, unix time, encoded).
    """

    keys: bytes
    times: bytes
    values: bytes
    sketches: list[tuple[int, int, bytes]] = []


@dataclass(frozen=True, slots=True)
class PackedHour:
    """One metric's hour as it is kept."""

    metric: str
    hour: int
    sketched: bool
    journal_to: int
    slots: bytes
    points: bytes


class PointFile:
    """The tables. To be used under the lock of the store."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or one in memory.

        Raises:
            UnknownFormatError: another release wrote it, or it is no such file.
        """
        self._base = opened_base(path, FORMAT, _TABLES)
        self._codec = msgspec.msgpack.Decoder(Entry)
        self._pack = zstandard.ZstdCompressor(level=1)

    def close(self) -> None:
        """Let go of it."""
        self._base.close()

    def clear(self) -> None:
        """Forget everything."""
        for table in ("series", "journal", "hours"):
            self._base.execute(f"delete from {table}")  # noqa: S608 - the three above

    def series(self) -> Iterator[tuple[str, StoredSeries, int]]:
        """Metric, series and when it was seen last, by key."""
        rows = self._base.execute(
            "select key, metric, tags, type, interval_s, seen_s from series order by key"
        )
        for key, metric, tags, kind, interval_s, seen_s in rows.fetchall():
            series = StoredSeries(key, tuple(msgspec.json.decode(tags)), kind, interval_s)
            yield metric, series, seen_s

    def write(
        self, series: Iterable[tuple[str, StoredSeries, int]], entries: Iterable[tuple[int, Entry]]
    ) -> int:
        """Keep new or changed series and what came, by hour; the number of the last entry."""
        told = [
            (one.key, metric, msgspec.json.encode(one.tags), one.type, one.interval_s, seen_s)
            for metric, one, seen_s in series
        ]
        last = 0
        with whole(self._base):
            if told:
                self._base.executemany(
                    "insert into series (key, metric, tags, type, interval_s, seen_s) "
                    "values (?, ?, ?, ?, ?, ?) on conflict (key) do update set "
                    "type = excluded.type, interval_s = excluded.interval_s",
                    told,
                )
            for hour, entry in entries:
                packed = self._pack.compress(msgspec.msgpack.encode(entry))
                row = self._base.execute(
                    "insert into journal (hour, content) values (?, ?)", (hour, packed)
                )
                last = row.lastrowid or 0
        return last

    def journal(self) -> Iterator[tuple[int, int, Entry]]:
        """Number, hour and what came, in the order of its coming."""
        unpack = zstandard.ZstdDecompressor().decompress
        place = 0
        while True:
            rows = self._base.execute(
                "select number, hour, content from journal where number > ? "
                "order by number limit 100",
                (place,),
            ).fetchall()
            if not rows:
                return
            for number, hour, content in rows:
                yield number, hour, self._codec.decode(unpack(content))
            place = rows[-1][0]

    def journal_hours(self) -> list[int]:
        """The hours into which what is in the journal came."""
        return [row[0] for row in self._base.execute("select distinct hour from journal")]

    def packed_to(self, hours: Iterable[int]) -> dict[tuple[str, int, bool], int]:
        """Of the packed hours among these: up to which entry of the journal they go."""
        found: dict[tuple[str, int, bool], int] = {}
        for hour in hours:
            rows = self._base.execute(
                "select metric, sketched, journal_to from hours where hour = ?", (hour,)
            )
            for metric, sketched, journal_to in rows:
                found[metric, hour, bool(sketched)] = journal_to
        return found

    def keep_hour(self, packed: PackedHour, seen: Iterable[tuple[int, int]]) -> None:
        """Keep a packed hour in place of what was there.

        Args:
            packed: it.
            seen: key of each of its series, and its last second.
        """
        with whole(self._base):
            self._base.execute(
                "insert into hours (metric, hour, sketched, journal_to, slots, points) "
                "values (?, ?, ?, ?, ?, ?) on conflict (metric, hour, sketched) do update set "
                "journal_to = excluded.journal_to, slots = excluded.slots, "
                "points = excluded.points",
                (
                    packed.metric,
                    packed.hour,
                    packed.sketched,
                    packed.journal_to,
                    packed.slots,
                    packed.points,
                ),
            )
            self._base.executemany(
                "update series set seen_s = max(seen_s, ?2) where key = ?1", list(seen)
            )

    def forget_journal(self, hour: int) -> None:
        """What came into an hour of which everything is packed."""
        self._base.execute("delete from journal where hour = ?", (hour,))

    def hours(self, metric: str, first: int, last: int, *, sketched: bool) -> list[int]:
        """The packed hours of a metric from one to another, both included."""
        rows = self._base.execute(
            "select hour from hours where metric = ? and hour between ? and ? and sketched = ?",
            (metric, first, last, sketched),
        )
        return [row[0] for row in rows]

    def slots(self, metric: str, hour: int, *, sketched: bool) -> bytes | None:
        """A packed hour, rolled up; None where there is none."""
        return self._packed("slots", metric, hour, sketched=sketched)

    def points(self, metric: str, hour: int, *, sketched: bool) -> bytes | None:
        """A packed hour; None where there is none."""
        return self._packed("points", metric, hour, sketched=sketched)

    def _packed(
        self, column: Literal["slots", "points"], metric: str, hour: int, *, sketched: bool
    ) -> bytes | None:
        row = self._base.execute(
            f"select {column} from hours "  # noqa: S608 - one of the two above
            "where metric = ? and hour = ? and sketched = ?",
            (metric, hour, sketched),
        ).fetchone()
        return None if row is None else row[0]

    def used_bytes(self) -> int:
        """Of the file, without pages that are free again."""
        pages, free, size = (
            self._base.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def span(self) -> tuple[int, int] | None:
        """The first and the last packed hour."""
        first, last = self._base.execute("select min(hour), max(hour) from hours").fetchone()
        return None if first is None else (first, last)

    def forget_until(self, hour: int) -> int:
        """Let go of packed hours before this one; how many."""
        return self._base.execute("delete from hours where hour < ?", (hour,)).rowcount

    def forget_series(
        self,
        before_s: int,
        but: Collection[int],
        *,
        metric: str | None = None,
        most: int = -1,
    ) -> set[int]:
        """Let go of series that were seen last before a second, those of longest ago first.

        Args:
            before_s: unix time.
            but: keys of series that stay.
            metric: whose; None: of all.
            most: so many at most; -1: all.

        Returns:
            their keys.
        """
        rows = self._base.execute(
            "select key from series where seen_s < ?1 and (?2 is null or metric = ?2) "
            "order by seen_s limit ?3",
            (before_s, metric, most),
        )
        keys = {row[0] for row in rows.fetchall()} - set(but)
        with whole(self._base):
            self._base.executemany("delete from series where key = ?", [(key,) for key in keys])
        return keys
