"""What a monitor of a service check finds: so many of its latest runs in a row, group by group."""

from collections.abc import Iterable, Mapping
from typing import Final

from pettwin_pipeline.datadog_protocol import identifiers
from pettwin_pipeline.datadog_protocol.datagram import ServiceCheck
from pettwin_pipeline.datadog_protocol.frames import MISSING, Group
from pettwin_pipeline.datadog_protocol.matching import matcher
from pettwin_pipeline.datadog_protocol.monitor_options import Status, Thresholds
from pettwin_pipeline.datadog_protocol.monitor_states import Finding, in_a_row
from pettwin_pipeline.datadog_protocol.monitor_syntax import CheckAlert
from pettwin_pipeline.datadog_protocol.selection import groups_of
from pettwin_pipeline.datadog_protocol.syntax import Tag

_CRITICAL: Final = 2
_WHOLE: Final = 100.0


def evaluate_check(
    alert: CheckAlert,
    newest_first: Iterable[ServiceCheck],
    thresholds: Thresholds,
    before: Mapping[Group, Status],
) -> dict[Group, Finding]:
    """A finding with its status for each group of `by` that has runs.

    `pct_by_status` gives one value instead: percent of the groups whose latest run is critical.

    Args:
        alert: the query.
        newest_first: runs of any check.
        thresholds: how many runs in a row make a state.
        before: the present states: where no threshold is reached they stay.
    """
    latest = _latest(alert, newest_first)
    if any(step.name == "pct_by_status" for step in alert.steps):
        critical = sum(1 for runs in latest.values() if runs[0] == _CRITICAL)
        return {(): Finding(critical / len(latest) * _WHOLE)} if latest else {}
    return {
        group: Finding(
            float(runs[0]), status=in_a_row(tuple(runs), thresholds, before.get(group, Status.OK))
        )
        for group, runs in latest.items()
    }


def _latest(alert: CheckAlert, newest_first: Iterable[ServiceCheck]) -> dict[Group, list[int]]:
    """The statuses of the latest runs of each group, as many as `last` says."""
    wanted = [matcher(Tag(text)) for text in alert.texts("over")]
    left_out = [
        matcher(Tag(text)) for name in ("exclude", "exclude_over") for text in alert.texts(name)
    ]
    latest: dict[Group, list[int]] = {}
    for run in newest_first:
        if run.name != alert.check:
            continue
        tags = identifiers.tags([*run.tags, *([f"host:{run.host}"] if run.host else [])])
        if not all(one(tags) for one in wanted) or any(one(tags) for one in left_out):
            continue
        for group in groups_of(alert.texts("by"), tags):
            if any(tag.endswith(f":{MISSING}") for tag in group):
                continue
            runs = latest.setdefault(group, [])
            if len(runs) < alert.last:
                runs.append(run.status)
    return latest
