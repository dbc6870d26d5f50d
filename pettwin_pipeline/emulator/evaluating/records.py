"""What is remembered of a monitor between its evaluations: a value, changed by making a new one.

Pure. Times are unix seconds.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import msgspec

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.datadog_protocol.monitor_states import GroupState

_SEVERITY: Final = (
    Status.OK,
    Status.IGNORED,
    Status.SKIPPED,
    Status.UNKNOWN,
    Status.NO_DATA,
    Status.WARN,
    Status.ALERT,
)
"""A monitor is in the last of these that one of its groups is in."""


class KeptGroup(msgspec.Struct, frozen=True, array_like=True):
    """A group of a monitor.

    Args:
        state: as the tables of states leave it.
        triggered_s: when it alerted or warned last; None: never.
        resolved_s: when it came back to OK last.
        nodata_s: when it lost its data last.
        notified_s: when somebody was told last.
        muted_by: the downtimes and mutes that covered it at the last evaluation.
        check_message: of the last run, for a service check.
    """

    state: GroupState
    triggered_s: float | None = None
    resolved_s: float | None = None
    nodata_s: float | None = None
    notified_s: float | None = None
    muted_by: tuple[str, ...] = ()
    check_message: str = ""


class MonitorRecord(msgspec.Struct, frozen=True):
    """A monitor between two evaluations.

    Args:
        kind: its type; with `keys` it decides whether groups outlive a change of the query.
        keys: of the group-by.
        evaluated_s: when it was evaluated last.
        groups: as found.
        overall: the worst of them; No Data without any.
        overall_since_s: since when; None while it is what it was created with.
    """

    kind: str
    keys: tuple[str, ...]
    evaluated_s: float
    groups: dict[Group, KeptGroup] = {}
    overall: Status = Status.NO_DATA
    overall_since_s: float | None = None

    @property
    def triggered_s(self) -> float | None:
        """When a group alerted or warned last."""
        return max(
            (one.triggered_s for one in self.groups.values() if one.triggered_s), default=None
        )


def worst_of(groups: Iterable[KeptGroup]) -> Status:
    """The state of a monitor with these groups."""
    return max((one.state.status for one in groups), key=_SEVERITY.index, default=Status.NO_DATA)


class _Stored(msgspec.Struct, array_like=True):
    """As it lies in the file: keys of JSON are texts, groups are not."""

    kind: str
    keys: tuple[str, ...]
    evaluated_s: float
    groups: list[tuple[Group, KeptGroup]]
    overall: Status
    overall_since_s: float | None


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Stored)


def encode_record(record: MonitorRecord) -> bytes:
    """As it is kept."""
    return _ENCODER.encode(
        (
            record.kind,
            record.keys,
            record.evaluated_s,
            list(record.groups.items()),
            record.overall,
            record.overall_since_s,
        )
    )


def decode_record(content: bytes) -> MonitorRecord:
    """The way back.

    Raises:
        msgspec.DecodeError: it was not encoded here.
    """
    found = _DECODER.decode(content)
    return MonitorRecord(
        found.kind,
        found.keys,
        found.evaluated_s,
        dict(found.groups),
        found.overall,
        found.overall_since_s,
    )


def rewound(record: MonitorRecord, now_s: float) -> MonitorRecord:
    """The record where the clock was set back: nothing in it lies ahead of now.

    Otherwise a group would wait for a time that comes again only much later.
    """
    if record.evaluated_s <= now_s:
        return record
    groups = {group: _rewound_group(one, now_s) for group, one in record.groups.items()}
    return msgspec.structs.replace(
        record,
        evaluated_s=now_s,
        groups=groups,
        overall_since_s=_at_most(record.overall_since_s, now_s),
    )


def _rewound_group(kept: KeptGroup, now_s: float) -> KeptGroup:
    state = kept.state
    return msgspec.structs.replace(
        kept,
        state=replace(
            state,
            since_s=min(state.since_s, now_s),
            seen_s=min(state.seen_s, now_s),
            data_s=_at_most(state.data_s, now_s),
            first_triggered_s=_at_most(state.first_triggered_s, now_s),
            told_s=_at_most(state.told_s, now_s),
        ),
        triggered_s=_at_most(kept.triggered_s, now_s),
        resolved_s=_at_most(kept.resolved_s, now_s),
        nodata_s=_at_most(kept.nodata_s, now_s),
        notified_s=_at_most(kept.notified_s, now_s),
    )


def _at_most(told_s: float | None, now_s: float) -> float | None:
    return None if told_s is None else min(told_s, now_s)
