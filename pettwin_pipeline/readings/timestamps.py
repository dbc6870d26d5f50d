"""ISO 8601 to milliseconds since 1970 UTC: one text, or a column of them.

`parse_timestamp` has the rule; `parse_timestamps` is the same for a column, in numpy where the
texts have the usual form. Knows nothing of readings.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
EARLIEST_MS: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MILLISECOND
LATEST_MS: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MILLISECOND

_ISO: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]+))?)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<ahead_h>[0-9]{2})(?::?(?P<ahead_min>[0-9]{2}))?|(?P<naive>))"
)
_DATE_AND_TIME: Final = "0000-00-00T00:00:00"
_LONGEST: Final = len(_DATE_AND_TIME) + len(".123456789")

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def parse_timestamp(text: str, *, naive_is_utc: bool = False) -> int | None:
    """A moment in ms since 1970 UTC, or None where the text is none.

    Date, time and offset in the extended form, `2026-03-01T12:00:00.250+01:00`; the seconds and
    what follows them may be left out, a space may stand for the T. What is finer than a millisecond
    is cut off. A leap second, a 24th hour and what is not in the years 1 to 9999 of UTC is refused.

    Args:
        text: as sent.
        naive_is_utc: whether a text without an offset is a moment in UTC, and not None.
    """
    found = _ISO.fullmatch(text)
    if found is None or (found["naive"] is not None and not naive_is_utc):
        return None
    ahead_h, ahead_min = int(found["ahead_h"] or 0), int(found["ahead_min"] or 0)
    if ahead_h > 23 or ahead_min > 59:  # noqa: PLR2004 - the clock
        return None
    year, month, day = (int(found[name]) for name in ("year", "month", "day"))
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    part_ms = int((found["part"] or "")[:3].ljust(3, "0"))
    ahead_ms = (ahead_h * 60 + ahead_min) * 60_000
    if found["sign"] == "-":
        ahead_ms = -ahead_ms
    time_ms = (moment - EPOCH) // MILLISECOND + part_ms - ahead_ms
    return time_ms if EARLIEST_MS <= time_ms <= LATEST_MS else None


def render_timestamp(time_ms: int) -> str:
    """A moment, ms since 1970 UTC, up to the year 9999, as ISO 8601."""
    text = (EPOCH + time_ms * MILLISECOND).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def parse_timestamps(texts: pl.Series) -> pl.Series:
    """`parse_timestamp` of a column of texts: Int64, null where a text is no moment."""
    moments = np.zeros(len(texts), np.int64)
    known = np.zeros(len(texts), np.bool_)
    shape = texts.str.len_bytes().to_numpy() * 2 + texts.str.ends_with("Z").to_numpy()
    for one in np.unique(shape):
        rows = np.flatnonzero(shape == one)
        length, with_z = divmod(int(one), 2)
        end = length - (1 if with_z else len("+00:00"))
        if end == len(_DATE_AND_TIME) or len(_DATE_AND_TIME) + 1 < end <= _LONGEST:
            letters = np.frombuffer(texts[rows].str.join("")[0].encode(), np.uint8)
            moments[rows], known[rows] = _parse_usual(letters.reshape(-1, length).T.copy(), end)
    parsed = pl.Series(texts.name, moments)
    if known.all():
        return parsed
    others = np.flatnonzero(~known)
    found = [parse_timestamp(text) for text in texts.gather(others)]
    return parsed.scatter(others, pl.Series(found, dtype=pl.Int64))


def _parse_usual(letters: Bytes, end: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Moments of texts of one length, a column each; and which of them have the usual form.

    The time ends before row `end`; a Z or an offset in hours and minutes follows it.
    """
    form = _DATE_AND_TIME + ("." if end > len(_DATE_AND_TIME) else "")
    form = form.ljust(end, "0") + ("Z" if len(letters) == end + 1 else "+00:00")
    wanted = np.frombuffer(form.encode(), np.uint8)
    digit, plus = wanted == ord("0"), wanted == ord("+")
    mark = ~digit & ~plus
    numbers = letters - ord("0")  # bytes have no sign: what is no digit is above 9
    usual = (numbers[digit] < 10).all(axis=0)  # noqa: PLR2004
    usual &= (letters[mark] == wanted[mark, None]).all(axis=0)
    year, month, day = (_number(numbers, *rows) for rows in ((0, 4), (5, 7), (8, 10)))
    hour, minute, second = (_number(numbers, at, at + 2) for at in (11, 14, 17))
    months = ((year - 1970) * 12 + month - 1).view("datetime64[M]")
    following = months + np.timedelta64(1, "M")
    first, beyond = (one.astype("datetime64[D]").view(np.int64) for one in (months, following))
    usual &= (year > 0) & (month > 0) & (month <= 12) & (day > 0) & (day <= beyond - first)  # noqa: PLR2004
    usual &= _on_clock(hour, minute) & (second < 60)  # noqa: PLR2004
    minutes = ((first + day - 1) * 24 + hour) * 60 + minute
    if plus.any():
        signs = letters[end]
        ahead_h, ahead_min = (_number(numbers, at, at + 2) for at in (end + 1, end + 4))
        usual &= _on_clock(ahead_h, ahead_min) & ((signs == ord("+")) | (signs == ord("-")))
        minutes -= np.where(signs == ord("-"), -1, 1) * (ahead_h * 60 + ahead_min)
    moments = (minutes * 60 + second) * 1000
    for place, weight in enumerate((100, 10, 1), start=len(_DATE_AND_TIME) + 1):
        if place < end:
            moments += numbers[place] * np.int64(weight)
    return moments, usual & (moments >= EARLIEST_MS) & (moments <= LATEST_MS)


def _number(digits: Bytes, begin: int, end: int) -> Ints:
    """The decimal number in rows [begin, end)."""
    number = np.zeros(digits.shape[1], np.int64)
    for row in digits[begin:end]:
        number *= 10
        number += row
    return number


def _on_clock(hour: Ints, minute: Ints) -> npt.NDArray[np.bool_]:
    return (hour < 24) & (minute < 60)  # noqa: PLR2004
