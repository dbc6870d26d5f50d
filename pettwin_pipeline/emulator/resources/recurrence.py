"""Recurring schedules: when the next turn begins, from an RRULE of RFC 5545. Pure.

FREQ, INTERVAL, COUNT, UNTIL, BYDAY (plain days, weekly or daily), BYMONTHDAY and BYHOUR/BYMINUTE
that repeat the start are understood; anything else is refused.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pettwin_pipeline.emulator.refusals import bad_request

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_STEPS: Final = {
    "MINUTELY": timedelta(minutes=1),
    "HOURLY": timedelta(hours=1),
    "DAILY": timedelta(days=1),
    "WEEKLY": timedelta(weeks=1),
}
_KNOWN: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "WKST"})
_MOST_TURNS: Final = 20_000
_DURATION: Final = re.compile(r"(\d{1,7})(m|h|d|w)")
_UNITS: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def parse_duration(text: str) -> timedelta:
    """`30m`, `1d`, ...

    Raises:
        Refusal: 400.
    """
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise bad_request("Invalid duration")
    return int(match[1]) * _UNITS[match[2]]


def parse_rule(text: str) -> dict[str, str]:
    """The parts of an RRULE.

    Raises:
        Refusal: 400, it is none, or has parts that are not understood here.
    """
    parts = [part.partition("=") for part in text.removeprefix("RRULE:").strip(";").split(";")]
    rule = {name.strip().upper(): value.strip().upper() for name, _, value in parts}
    monthly = rule.get("FREQ") in {"MONTHLY", "YEARLY"}
    good = (
        (rule.get("FREQ") in _STEPS or monthly)
        and rule.keys() <= _KNOWN
        and all(rule.get(name, "1").isdecimal() for name in ("INTERVAL", "COUNT"))
        and 0 < int(rule.get("INTERVAL", "1")) <= 10_000  # noqa: PLR2004
        and all(day in _DAYS for day in rule.get("BYDAY", "MO").split(","))
        and not (monthly and "BYDAY" in rule)
    )
    if not good:
        raise bad_request("Invalid RRULE")
    return rule


def turns(rule: dict[str, str], start: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The beginnings of the turns, aware, in UTC, oldest first; bounded in number."""
    first = start.astimezone(zone).replace(tzinfo=None)
    count = int(rule.get("COUNT", _MOST_TURNS))
    until = _until(rule)
    for number, local in enumerate(_local_turns(rule, first)):
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if number >= count or (until is not None and moment > until):
            return
        yield moment


def _until(rule: dict[str, str]) -> datetime | None:
    text = rule.get("UNTIL")
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise bad_request("Invalid RRULE") from None


def _local_turns(rule: dict[str, str], first: datetime) -> Iterator[datetime]:
    interval, frequency = int(rule.get("INTERVAL", "1")), rule["FREQ"]
    days = {_DAYS.index(day) for day in rule["BYDAY"].split(",")} if "BYDAY" in rule else None
    if frequency in {"MONTHLY", "YEARLY"}:
        yield from _monthly(first, interval * (12 if frequency == "YEARLY" else 1))
        return
    step = timedelta(days=1) if frequency == "WEEKLY" and days else _STEPS[frequency] * interval
    monday = first - timedelta(days=first.weekday())
    for number in range(_MOST_TURNS):
        try:
            turn = first + number * step
        except OverflowError:
            return
        weeks = (turn - monday).days // 7
        skipped = frequency == "WEEKLY" and days is not None and weeks % interval
        if not skipped and (days is None or turn.weekday() in days):
            yield turn


def _monthly(first: datetime, months: int) -> Iterator[datetime]:
    for number in range(_MOST_TURNS // 10):
        year, month = divmod(first.month - 1 + number * months, 12)
        try:
            yield first.replace(year=first.year + year, month=month + 1)
        except (ValueError, OverflowError):  # a month without that day
            continue


def current_turn(
    rule: dict[str, str], start: datetime, zone: ZoneInfo, lasts: timedelta, now: datetime
) -> tuple[datetime, datetime] | None:
    """Beginning and end of the turn that runs, or of the next one; None where there is none."""
    for begins in turns(rule, start, zone):
        if begins + lasts > now:
            return begins, begins + lasts
    return None
