"""Which ranges to request now: the ledger, the watermarks and the rules of `batches` together.

Has no effect on the stream. Writes to the ledger what it decided, so that a range stays as it is
until it is done, whoever asks and however often.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import structlog

from pettwin_pipeline.adapters.ledger_records import Lease, RangeRecord, due, failures_of
from pettwin_pipeline.batches import (
    HALVE_AFTER,
    PARK_AFTER,
    Gap,
    Plan,
    Watermarks,
    cut_range,
    first_offset,
    halve,
    lane_of,
    plan_range,
)
from pettwin_pipeline.defs.ports import Ports

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Requests:
    """Ranges to run now, why the other lanes have none, and gaps that were found."""

    ranges: list[RangeRecord]
    idle: list[str]
    gaps: list[Gap]


def request_ranges(ports: Ports, most: int | None = None) -> Requests:
    """Decide the next range of every free lane, and note it in the ledger.

    Args:
        ports: the outside.
        most: how many ranges are requested at the most; None: as many as there are lanes.
    """
    ledger, topic, now_s = ports.ledger, ports.settings.kafka_topic, ports.now_s
    epoch = ports.kafka.topic_epoch(topic)
    marks = ports.kafka.watermarks(topic)
    _note_starts(ports, epoch, marks)
    leases = ledger.leases(topic, epoch)
    unfinished = ledger.unfinished(topic, epoch)
    found = Requests([], [], [])
    for one in unfinished:
        error = due(one, leases, now_s)
        if error is None or len(found.ranges) == most:
            found.idle.append(_why_idle(one, now_s))
        else:
            _try_again(ports, one, error, marks, found)
    positions = ledger.positions(topic, epoch)
    for one in ready_halves(unfinished, positions):
        if len(found.ranges) != most:
            found.ranges.append(ledger.request_again(one, now_s))
    taken = {part.partition for one in unfinished for part in one.range.parts}
    free = {p: mark for p, mark in marks.items() if p not in taken}
    for lane in range(ports.settings.pettwin_lanes):
        if len(found.ranges) != most and not _is_busy(lane, unfinished, leases, now_s):
            _request_next(ports, (epoch, lane), free, positions, found)
    return found


def _try_again(
    ports: Ports, one: RangeRecord, error: str, marks: Mapping[int, Watermarks], found: Requests
) -> None:
    """The same range once more; what is left of it, a half of it, or nothing for its lane."""
    setbacks, now_s = ports.ledger.setbacks, ports.now_s
    rest, gaps = cut_range(one.range, marks)
    failures = failures_of(one)
    halves = halve(one.range) if failures >= HALVE_AFTER else None
    again: RangeRecord | None = None
    if gaps:
        found.gaps.extend(gaps)
        again = setbacks.cut(one, rest, gaps, now_s)
    elif failures >= PARK_AFTER:
        setbacks.park(one, error)
        found.idle.append(_why_parked(one, error))
    elif halves is not None:
        again = setbacks.replace_by_halves(one, halves, error, now_s)
    else:
        again = ports.ledger.request_again(one, now_s, error)
    if again is not None and again.status == "requested":  # nobody moved it on meanwhile
        found.ranges.append(again)


def ready_halves(
    unfinished: Collection[RangeRecord], positions: Mapping[int, int]
) -> list[RangeRecord]:
    """Waiting halves whose turn has come: what lies before them is done, their lane is free."""
    busy = {one.range.lane for one in unfinished if one.status != "waiting"}
    ready: dict[int, RangeRecord] = {}
    for one in unfinished:
        at_its_start = all(positions.get(p.partition) == p.start for p in one.range.parts)
        if one.status == "waiting" and at_its_start and one.range.lane not in busy:
            ready.setdefault(one.range.lane, one)
    return list(ready.values())


def _request_next(
    ports: Ports,
    place: tuple[str, int],
    free: Mapping[int, Watermarks],
    positions: Mapping[int, int],
    found: Requests,
) -> None:
    epoch, lane = place
    plan = _plan_lane(ports, epoch, lane, free, positions)
    found.gaps.extend(plan.gaps)
    if plan.range is None:
        found.idle.append(f"lane {lane}: nothing new")
    else:
        found.ranges.append(ports.ledger.request(plan.range, ports.now_s))


def _plan_lane(
    ports: Ports,
    epoch: str,
    lane: int,
    free: Mapping[int, Watermarks],
    positions: Mapping[int, int],
) -> Plan:
    settings, ledger = ports.settings, ports.ledger
    topic = settings.kafka_topic
    mine = {p: mark for p, mark in free.items() if lane_of(p, settings.pettwin_lanes) == lane}
    plan = plan_range(
        *(topic, epoch, lane),
        marks=mine,
        positions=positions,
        most=settings.pettwin_batch_max_readings,
    )
    if plan.gaps:
        ledger.setbacks.note_gaps(topic, epoch, plan.gaps, ports.now_s)
    return plan


def _note_starts(ports: Ports, epoch: str, marks: Mapping[int, Watermarks]) -> None:
    topic = ports.settings.kafka_topic
    known = ports.ledger.positions(topic, epoch)
    fresh = {p: mark for p, mark in marks.items() if p not in known}
    if fresh:
        starts = _starts(ports, fresh, was_begun=bool(known))
        ports.ledger.start_at(topic, epoch, starts)
        log.info("topic_begun", topic=topic, epoch=epoch, offsets=starts)


def _starts(ports: Ports, fresh: Mapping[int, Watermarks], *, was_begun: bool) -> dict[int, int]:
    """Where partitions begin that the ledger does not know.

    Where our group has read before (its ledger was lost, or is a new one), behind what it read;
    else where the settings say. A partition that was added later is read from its first message:
    it came while we were reading.
    """
    read = ports.kafka.committed(ports.settings.kafka_topic, fresh)
    begun = {p: at for p, at in read.items() if fresh[p].low <= at <= fresh[p].stable}
    unread = {p: mark for p, mark in fresh.items() if p not in begun}
    if was_begun:
        return begun | {p: mark.low for p, mark in unread.items()}
    return begun | (_first_starts(ports, unread) if unread else {})


def _first_starts(ports: Ports, fresh: Mapping[int, Watermarks]) -> dict[int, int]:
    start = ports.settings.pettwin_start
    if isinstance(start, str):
        return {p: first_offset(mark, start) for p, mark in fresh.items()}
    begin_ms = round(start.timestamp() * 1000)
    return ports.kafka.offsets_at(ports.settings.kafka_topic, fresh, begin_ms)


def _is_busy(
    lane: int, unfinished: Collection[RangeRecord], leases: Collection[Lease], now_s: float
) -> bool:
    held = any(lease.lane == lane and lease.expires_s > now_s for lease in leases)
    return held or any(one.range.lane == lane for one in unfinished)


def _why_idle(one: RangeRecord, now_s: float) -> str:
    lane = one.range.lane
    if one.status == "failed":
        wait = max(0, round(one.not_before_s - now_s))
        return f"lane {lane}: attempt {one.attempt} failed, again in {wait} s ({one.error})"
    if one.status == "running":
        return f"lane {lane}: run {one.run_id} is at work"
    if one.status == "waiting":
        return f"lane {lane}: {one.range.text} waits for the half before it"
    if one.status == "parked":
        return _why_parked(one, one.error or "")
    return f"lane {lane}: requested, not yet started"


def _why_parked(one: RangeRecord, error: str) -> str:
    return (
        f"lane {one.range.lane} is parked: {one.range.text} failed {failures_of(one)} times "
        f"({error}); mend the cause and `pettwin unpark`, or `pettwin skip {one.range.text} "
        "--reason ...`"
    )
