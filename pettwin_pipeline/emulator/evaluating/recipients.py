"""Who else is told: notification rules add recipients to monitors with certain tags."""

from collections.abc import Collection, Iterator
from typing import Final

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.emulator.evaluating.watched import Watched
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.tag_scopes import scope_holds
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_RULE: Final = "monitor_notification_rule"


def recipients_of_rules(state: State, watched: Watched, group: Group) -> list[str]:
    """The handles, without at sign, that rules add for a group of a monitor."""
    monitor = watched.document
    tags = {*monitor["tags"], *group}
    if monitor["priority"]:
        tags.add(f"priority:p{monitor['priority']}")
    found = [
        handle
        for rule in state.storage.all(_RULE)
        if _concerns(rule["attributes"].get("filter") or {}, tags)
        for handle in _recipients(rule["attributes"], tags)
    ]
    return [handle.removeprefix("@") for handle in found]


def _concerns(told: Document, tags: Collection[str]) -> bool:
    wanted = told.get("tags") or ()
    if not set(wanted) <= set(tags):
        return False
    scope = told.get("scope")
    return bool(wanted or scope) and (not scope or _holds(scope, tags))


def _recipients(rule: Document, tags: Collection[str]) -> Iterator[str]:
    yield from rule.get("recipients") or ()
    conditional = rule.get("conditional_recipients") or {}
    several = [one for one in conditional.get("conditions") or () if _holds(one["scope"], tags)]
    for one in several:
        yield from one["recipients"]
    if not several:
        yield from conditional.get("fallback_recipients") or ()


def _holds(scope: str, tags: Collection[str]) -> bool:
    try:
        return scope_holds(scope, tags)
    except Refusal:
        return False
