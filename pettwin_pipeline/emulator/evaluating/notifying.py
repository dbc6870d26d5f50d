"""What happened to monitors becomes events, and entries of the outbox for whoever is meant.

Every transition is an event. Told are those that notify: groups that `notify_by` puts together
once. Posting is not done here: entries for webhooks wait in the outbox.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_messages import (
    Notice,
    Posting,
    handles_in,
    message_of,
    title_of,
    webhook_variables,
)
from pettwin_pipeline.datadog_protocol.monitor_options import Status, notified_group
from pettwin_pipeline.datadog_protocol.monitor_states import Change
from pettwin_pipeline.datadog_protocol.monitor_syntax import MetricAlert
from pettwin_pipeline.datadog_protocol.syntax import metric_queries
from pettwin_pipeline.emulator.clock import at, iso
from pettwin_pipeline.emulator.evaluating.recipients import recipients_of_rules
from pettwin_pipeline.emulator.evaluating.stepping import Happening
from pettwin_pipeline.emulator.identity import HANDLE, ORG_ID, ORG_NAME
from pettwin_pipeline.emulator.resources.event_store import keep_event
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_WEBHOOK: Final = "webhook-"
_SERVICES: Final = (
    "slack", "pagerduty", "opsgenie", "teams", "hangouts", "victorops", "jira", "servicenow",
    "webex", "case", "workflow", "oncall",
)  # fmt: skip
_STATUSES: Final = {
    Status.ALERT: "error",
    Status.WARN: "warning",
    Status.NO_DATA: "warning",
    Status.UNKNOWN: "warning",
    Status.OK: "success",
}


def tell(state: State, happened: Sequence[Happening], address: str) -> list[int]:
    """Write the events and the entries; the numbers of those that wait to be posted.

    Args:
        state: where.
        happened: in one round, in order.
        address: of this server, for links.
    """
    waiting: list[int] = []
    told: set[tuple[int, Group, Change]] = set()
    for one in happened:
        event = keep_event(state, _event(one))
        if not one.transition.notifies or one.watched.document["draft_status"] == "draft":
            continue
        group = notified_group(one.group, one.watched.options)
        place = one.watched.monitor_id, group, one.transition.change
        if place not in told:
            told.add(place)
            waiting += _entries(state, one, group, event, address)
    return waiting


def _notice(one: Happening, group: Group) -> Notice:
    monitor, options = one.watched.document, one.watched.options
    return Notice(
        name=monitor["name"],
        message=monitor["message"],
        transition=one.transition,
        group=group,
        thresholds=options.thresholds,
        comparator=one.watched.comparison.comparator if one.watched.comparison else "",
        priority=monitor["priority"],
        first_triggered_s=one.first_triggered_s,
        last_triggered_s=one.last_triggered_s,
        check_message=one.check_message,
        parts=one.parts,
        escalation_message=options.escalation_message,
        include_tags=options.include_tags,
    )


def _event(one: Happening) -> Document:
    monitor, transition = one.watched.document, one.transition
    notice = _notice(one, one.group)
    tags = list(dict.fromkeys([*monitor["tags"], *one.group, "monitor"]))
    hosts = [tag.partition(":")[2] for tag in one.group if tag.startswith("host:")]
    return {
        "title": title_of(notice),
        "text": message_of(notice),
        "tags": tags,
        "timestamp_ms": int(transition.at_s * 1000),
        "host": hosts[0] if hosts else None,
        "priority": "normal",
        "status": _STATUSES.get(transition.after, "info"),
        "alert_type": _STATUSES.get(transition.after, "info"),
        "source": "alert",
        "aggregation_key": f"monitor_{monitor['id']}",
        "monitor_id": monitor["id"],
        "attributes": {
            "monitor_id": monitor["id"],
            "monitor_groups": list(one.group) or ["*"],
            "monitor": _monitor(one),
            "source_type_name": "alert",
        },
    }


def _monitor(one: Happening) -> Document:
    """As an event describes the monitor that wrote it; with what changed."""
    monitor, transition = one.watched.document, one.transition
    return {
        "id": monitor["id"],
        "name": monitor["name"],
        "type": monitor["type"],
        "query": monitor["query"],
        "message": monitor["message"],
        "tags": monitor["tags"],
        "groups": list(one.group) or ["*"],
        "created_at": monitor["created_at"],
        "transition": {
            "trans_name": transition.change,
            "trans_type": transition.change,
            "source_state": transition.before,
            "destination_state": transition.after,
        },
        "result": {"value": transition.value},
    }


def _entries(
    state: State, one: Happening, group: Group, event: Document, address: str
) -> list[int]:
    notice = _notice(one, group)
    variables = webhook_variables(notice, _posting(one, event, address))
    handles = [*handles_in(variables["EVENT_MSG"]), *recipients_of_rules(state, one.watched, group)]
    entries = [_entry(one, group, event, variables, handle) for handle in dict.fromkeys(handles)]
    kept = [state.outbox.keep(entry) for entry in entries]
    return [entry["number"] for entry in kept if entry["status"] == "waiting"]


def _entry(
    one: Happening, group: Group, event: Document, variables: dict[str, str], handle: str
) -> Document:
    monitor, transition = one.watched.document, one.transition
    entry: Document = {
        "at": iso(at(transition.at_s)),
        "handle": handle,
        "kind": kind_of(handle),
        "status": "kept",
        "title": variables["EVENT_TITLE"],
        "text": variables["EVENT_MSG"],
        "monitor_id": monitor["id"],
        "monitor_name": monitor["name"],
        "group": list(group),
        "transition": transition.change,
        "state": transition.after,
        "priority": monitor["priority"],
        "event_id": event["id_str"],
    }
    if entry["kind"] != "webhook":
        return entry
    return {**entry, "status": "waiting", "attempts": 0, "variables": variables}


def kind_of(handle: str) -> str:
    """webhook, slack, pagerduty and so on; email, all, here; other for what looks like none."""
    lower = handle.lower()
    if lower.startswith(_WEBHOOK):
        return "webhook"
    if lower in {"all", "here", "channel"}:
        return "all"
    service = lower.partition("-")[0]
    if service in _SERVICES:
        return service
    return "email" if "@" in handle else "other"


def _posting(one: Happening, event: Document, address: str) -> Posting:
    monitor = one.watched.document
    return Posting(
        monitor_id=monitor["id"],
        query=monitor["query"],
        metric=_metric(one),
        monitor_type=monitor["type"],
        event_id=int(event["id_str"]),
        org_id=ORG_ID,
        org_name=ORG_NAME,
        link=f"{address}/monitors/{monitor['id']}",
        tags=tuple(monitor["tags"]),
        user=HANDLE,
    )


def _metric(one: Happening) -> str:
    query = one.watched.query
    names: Iterable[str] = ()
    if isinstance(query, MetricAlert):
        names = (part.metric for part in metric_queries(query.expression))
    return next(iter(names), "")
