"""When downtimes hold, of both versions, once or recurring. Pure."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from pettwin_pipeline.emulator.clock import at, parse_moment
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.recurrence import current_turn, parse_duration, parse_rule
from pettwin_pipeline.emulator.storage import Document

_FREQUENCIES: Final = {
    "days": "DAILY",
    "weeks": "WEEKLY",
    "months": "MONTHLY",
    "years": "YEARLY",
}


def is_active_v1(downtime: Document, at_s: float) -> bool:
    """Whether a downtime (v1) holds at a time, unix seconds."""
    start_s, end_s = downtime["start"], downtime["end"]
    if downtime["canceled"] is not None or start_s > at_s:
        return False
    if end_s is None or end_s > at_s:
        return True
    recurrence = downtime["recurrence"]
    if not recurrence:
        return False
    rule = _rule_of(recurrence)
    zone = _zone(downtime["timezone"])
    turn = current_turn(rule, at(start_s), zone, at(end_s) - at(start_s), at(at_s))
    return turn is not None and turn[0] <= at(at_s)


def _rule_of(recurrence: Document) -> dict[str, str]:
    if recurrence["type"] == "rrule":
        return parse_rule(recurrence["rrule"])
    rule = {
        "FREQ": _FREQUENCIES[recurrence["type"]],
        "INTERVAL": str(recurrence.get("period") or 1),
    }
    if recurrence.get("week_days"):
        rule["BYDAY"] = ",".join(day[:2].upper() for day in recurrence["week_days"])
    if recurrence.get("until_occurrences"):
        rule["COUNT"] = str(recurrence["until_occurrences"])
    if recurrence.get("until_date"):
        rule["UNTIL"] = f"{at(recurrence['until_date']):%Y%m%dT%H%M%SZ}"
    return rule


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")


def is_active_v2(downtime: Document, at_s: float) -> bool:
    """Whether a downtime (v2) holds at a time, unix seconds."""
    if downtime["canceled"] is not None:
        return False
    schedule, now = downtime["schedule"], at(at_s)
    if "recurrences" in schedule:
        return any(_runs(one, schedule.get("timezone"), now) for one in schedule["recurrences"])
    begins, ends = schedule.get("start"), schedule.get("end")
    if begins is None or parse_moment(begins) > now:
        return False
    return ends is None or parse_moment(ends) > now


def _runs(recurrence: Document, zone_name: str | None, now: datetime) -> bool:
    zone = _zone(zone_name)
    start = datetime.fromisoformat(recurrence["start"]).replace(tzinfo=zone)
    try:
        lasts = parse_duration(recurrence["duration"])
        turn = current_turn(parse_rule(recurrence["rrule"]), start, zone, lasts, now)
    except Refusal:
        return False
    return turn is not None and turn[0] <= now
