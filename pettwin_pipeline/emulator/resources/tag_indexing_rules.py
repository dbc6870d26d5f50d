"""Rules that say for many metrics at once which tags can be queried, and exemptions from them.

Kept and shown in their order; what they say is not applied to queries here.
"""

from fnmatch import fnmatchcase
from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso_z
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources.downtimes_v2 import UUID
from pettwin_pipeline.emulator.resources.metric_names import check_name, find_of_metric
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "tag_indexing_rule"
LONGEST_WINDOW_S: Final = 90 * 86_400
EXEMPTION: Final = "tag_indexing_rule_exemption"
_TYPE: Final = "tag_indexing_rules"
_EXCLUDING: Final[tuple[str, ...]] = (
    "exclude_not_queried_window_seconds",
    "exclude_not_used_in_assets",
)
_SETTABLE: Final[tuple[str, ...]] = (
    "exclude_tags_mode", "ignored_metric_name_matches", "metric_name_matches", "name", "options",
    "rule_order", "tags",
)  # fmt: skip
_PLACE: Final = "/api/v2/metrics/tag-indexing-rules"


def _find(state: State, call: Call) -> Document:
    if not UUID.fullmatch(call.names["id"]):
        refuse("Invalid tag indexing rule ID format")
    found = state.storage.get(KIND, call.names["id"])
    if found is None:
        raise not_found("Tag indexing rule not found")
    return found


def _in_order(state: State) -> list[Document]:
    return sorted(state.storage.all(KIND), key=lambda one: one["attributes"]["rule_order"])


def _options(told: Document | None, *, excludes: bool) -> Document:
    told = told or {}
    if told.get("version", 1) != 1:
        refuse("Invalid request body: options version must be 1")
    given = told.get("data") or {}
    data: Document = {
        "override_previous_rules": bool(given.get("override_previous_rules", False)),
        "manage_preexisting_metrics": bool(given.get("manage_preexisting_metrics", True)),
    }
    for name in ("dynamic_tags", "metric_match"):
        # What is zero or false is left out, as the real service does.
        said = {key: value for key, value in (given.get(name) or {}).items() if value}
        if name == "dynamic_tags" and not excludes and any(key in said for key in _EXCLUDING):
            refuse(
                f"Invalid request body: {'/'.join(_EXCLUDING)} cannot be set when "
                'exclude_tags_mode is false — "by tag usage" is Exclude-mode only'
            )
        if any(isinstance(value, int) and value > LONGEST_WINDOW_S for value in said.values()):
            refuse(f"Invalid request body: windows are at most {LONGEST_WINDOW_S} seconds")
        if said:
            data[name] = said
    return {"version": 1, "data": data}


def _settled(attributes: Document) -> Document:
    if not (attributes.get("name") or "").strip():
        refuse("Invalid request body: name is required")
    if not attributes.get("metric_name_matches"):
        refuse("Invalid request body: metric_name_matches is required")
    excludes = bool(attributes.get("exclude_tags_mode", False))
    options = _options(attributes.get("options"), excludes=excludes)
    return {**attributes, "exclude_tags_mode": excludes, "options": options}


def _create(state: State, call: Call) -> Answer:
    told = call.checked_attributes()
    now = iso_z(state.clock.now())
    given = {name: told[name] for name in _SETTABLE if told.get(name) is not None}
    made = {
        "created_at": now,
        "created_by_handle": HANDLE,
        "modified_at": now,
        "modified_by_handle": HANDLE,
        "rule_order": len(state.storage.all(KIND)) + 1,
    }
    document: Document = {"id": state.dice.uuid(), "type": _TYPE}
    document["attributes"] = _settled({**made, **given})
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": document}, 201)


def _list(state: State, call: Call) -> Answer:
    del call
    found = _in_order(state)
    return Answer({"data": found, "meta": {"total": len(found)}})


def _read(state: State, call: Call) -> Answer:
    return Answer({"data": _find(state, call)})


def _update(state: State, call: Call) -> Answer:
    document = _find(state, call)
    told = call.checked_attributes()
    given = {name: told[name] for name in _SETTABLE if told.get(name) is not None}
    now = {"modified_at": iso_z(state.clock.now()), "modified_by_handle": HANDLE}
    document["attributes"] = _settled({**document["attributes"], **given, **now})
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": document})


def _delete(state: State, call: Call) -> Answer:
    state.storage.remove(KIND, _find(state, call)["id"])
    return NO_CONTENT


def _reorder(state: State, call: Call) -> Answer:
    ids = call.checked_attributes().get("rule_ids") or []
    found = {one["id"]: one for one in _in_order(state)}
    if not set(ids) <= found.keys():
        raise not_found("One or more tag indexing rule IDs not found")
    rest = [one for one in found if one not in ids]
    with state.storage.together():
        for place, rule_id in enumerate([*ids, *rest], 1):
            found[rule_id]["attributes"]["rule_order"] = place
            state.storage.put(KIND, rule_id, found[rule_id])
    return NO_CONTENT


def _of_metric(state: State, call: Call) -> Answer:
    metric = call.names["metric_name"]
    check_name(metric)
    found = [one for one in _in_order(state) if _matches(one["attributes"], metric)]
    return Answer({"data": found, "meta": {"total": len(found)}})


def _matches(attributes: Document, metric: str) -> bool:
    def among(patterns: Any) -> bool:
        return any(fnmatchcase(metric, pattern) for pattern in patterns or ())

    wanted, ignored = "metric_name_matches", "ignored_metric_name_matches"
    return among(attributes.get(wanted)) and not among(attributes.get(ignored))


def _exempt(state: State, call: Call) -> Answer:
    metric = call.names["metric_name"]
    check_name(metric)
    attributes = {
        "created_at": iso_z(state.clock.now()),
        "created_by_handle": HANDLE,
        "kind": "exclusion",
        "reason": call.checked_attributes().get("reason", ""),
    }
    document = {"id": metric, "type": "tag_indexing_rule_exemptions", "attributes": attributes}
    state.storage.put(EXEMPTION, metric, document)
    return Answer({"data": document}, 201)


def _exemption(state: State, call: Call) -> Answer:
    missing = "Tag indexing rule exemption not found"
    return Answer({"data": find_of_metric(state, EXEMPTION, call.names["metric_name"], missing)})


def _end_exemption(state: State, call: Call) -> Answer:
    _exemption(state, call)
    state.storage.remove(EXEMPTION, call.names["metric_name"])
    return NO_CONTENT


_METRIC: Final = "/api/v2/metrics/{metric_name}"
ROUTES: Final = (
    Route("POST", _PLACE, _create),
    Route("GET", _PLACE, _list),
    Route("POST", _PLACE + "/order", _reorder),
    Route("GET", _PLACE + "/{id}", _read),
    Route("PUT", _PLACE + "/{id}", _update),
    Route("DELETE", _PLACE + "/{id}", _delete),
    Route("GET", _METRIC + "/tag-indexing-rules", _of_metric),
    Route("POST", _METRIC + "/tag-indexing-rule-exemptions", _exempt),
    Route("GET", _METRIC + "/tag-indexing-rule-exemptions", _exemption),
    Route("DELETE", _METRIC + "/tag-indexing-rule-exemptions", _end_exemption),
)
