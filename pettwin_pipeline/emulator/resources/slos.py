"""Service level objectives: create, read, list, update, delete, whole or by timeframe."""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.identity import HANDLE, NAME
from pettwin_pipeline.emulator.refusals import Refusal, bad_request, not_found, refuse
from pettwin_pipeline.emulator.resources import dashboards, monitors
from pettwin_pipeline.emulator.resources.slo_shape import settled, texts_of
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "slo"
_USUAL_PAGE: Final = 1_000


def find_slo(state: State, slo_id: str) -> Document:
    """An SLO.

    Raises:
        Refusal: 404.
    """
    found = state.storage.get(KIND, slo_id)
    if found is None:
        raise not_found(f"SLO not found: {slo_id} not found")
    return found


def _built(state: State, body: Document, kind: str) -> Document:
    document = settled(body, kind)
    for monitor_id in document.get("monitor_ids", ()):
        monitor = state.storage.get(monitors.KIND, monitor_id)
        if monitor is None:
            refuse(f"Invalid payload: monitor {monitor_id} not found")
        new = [tag for tag in monitor["tags"] if tag not in document["monitor_tags"]]
        document["monitor_tags"] += new
    return document


def _create(state: State, call: Call) -> Answer:
    body = call.checked()
    now_s = int(state.clock.now_s())
    made = {
        "id": state.dice.hexadecimal(32),
        "creator": {"name": NAME, "handle": HANDLE, "email": HANDLE},
        "created_at": now_s,
        "modified_at": now_s,
    }
    document = {**_built(state, body, body["type"]), **made}
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": [document], "error": None})


def _read(state: State, call: Call) -> Answer:
    slo = find_slo(state, call.names["slo_id"])
    if call.asked_bool("with_configured_alert_ids"):
        slo["configured_alert_ids"] = [one["id"] for one in _alerts_of(state, slo["id"])]
    return Answer({"data": slo, "error": None})


def _alerts_of(state: State, slo_id: str) -> list[Document]:
    return [
        one
        for one in state.storage.all(monitors.KIND)
        if one["type"] == "slo alert" and f'"{slo_id}"' in one["query"]
    ]


def _update(state: State, call: Call) -> Answer:
    before = find_slo(state, call.names["slo_id"])
    body = call.checked()
    kept = {name: before[name] for name in ("id", "creator", "created_at")}
    now_s = int(state.clock.now_s())
    document = {**_built(state, body, before["type"]), **kept, "modified_at": now_s}
    state.storage.put(KIND, document["id"], document)
    return Answer({"data": [document], "error": None})


def users_of(state: State, slo_id: str) -> str | None:
    """What would miss an SLO that is deleted, in words."""
    alerts = [str(one["id"]) for one in _alerts_of(state, slo_id)]
    boards = [
        one["id"]
        for one in state.storage.all(dashboards.KIND)
        if any(slo_id in _slos_of(widget["definition"]) for widget in one["widgets"])
    ]
    told = [f"monitors: [{', '.join(alerts)}]"] if alerts else []
    told += [f"dashboards: [{', '.join(boards)}]"] if boards else []
    return f"SLO {slo_id} is referenced in {' and '.join(told)}" if told else None


def _slos_of(definition: Document) -> set[str]:
    if definition.get("type") == "group":
        inner = (one["definition"] for one in definition.get("widgets", ()))
        return {slo_id for one in inner for slo_id in _slos_of(one)}
    return {definition["slo_id"]} if definition.get("type") == "slo" else set()


def _delete(state: State, call: Call) -> Answer:
    slo_id = find_slo(state, call.names["slo_id"])["id"]
    used = users_of(state, slo_id)
    if used and not call.asked_bool("force"):
        return Answer({"data": [], "errors": {slo_id: used}}, 409)
    state.storage.remove(KIND, slo_id)
    return Answer({"data": [slo_id], "error": None})


def _can_delete(state: State, call: Call) -> Answer:
    told = ",".join(call.query.get("ids", ()))
    asked = [one.strip() for one in told.split(",") if one.strip()]
    if not asked:
        raise bad_request("Invalid payload: must specify ids")
    ids = [find_slo(state, one)["id"] for one in asked]
    errors = {one: said for one in ids if (said := users_of(state, one))}
    body: dict[str, Any] = {"data": {"ok": [one for one in ids if one not in errors]}}
    return Answer({**body, "errors": errors or None}, 409 if errors else 200)


def _delete_timeframes(state: State, call: Call) -> Answer:
    deleted, updated, errors = [], [], []
    for slo_id, timeframes in call.checked().items():
        slo = state.storage.get(KIND, slo_id)
        if slo is None:
            told = {"id": slo_id, "message": f"SLO not found: {slo_id} not found"}
            errors.append({**told, "timeframe": "all"})
            continue
        left = [one for one in slo["thresholds"] if one["timeframe"] not in timeframes]
        if left:
            now_s = int(state.clock.now_s())
            fresh = settled({**slo, "thresholds": left, "timeframe": None}, slo["type"])
            changed = {**slo, **fresh, "modified_at": now_s, "monitor_tags": slo["monitor_tags"]}
            state.storage.put(KIND, slo_id, changed)
            updated.append(slo_id)
        else:
            state.storage.remove(KIND, slo_id)
            deleted.append(slo_id)
    return Answer({"data": {"deleted": deleted, "updated": updated}, "errors": errors})


def _list(state: State, call: Call) -> Answer:
    everything = state.storage.all(KIND)
    found = [one for one in everything if _is_asked(one, call)]
    ids = {one for one in (call.asked("ids") or "").split(",") if one}
    if ids and not found:
        raise Refusal(404, "SLO not found: " + ", ".join(sorted(ids)) + " not found")
    start = call.asked_int("offset", 0)
    page = found[start : start + call.asked_int("limit", _USUAL_PAGE, 1)]
    counts = {"total_count": len(everything), "total_filtered_count": len(found)}
    return Answer({"data": page, "error": None, "metadata": {"page": counts}})


def _is_asked(slo: Document, call: Call) -> bool:
    ids = {one.strip() for one in (call.asked("ids") or "").split(",")} - {""}
    if ids and slo["id"] not in ids:
        return False
    name = (call.asked("query") or "").strip().lower()
    if name and name not in slo["name"].lower():
        return False
    tags = [one.strip() for one in (call.asked("tags_query") or "").split(",") if one.strip()]
    if not all(_has_tag(slo, tag) for tag in tags):
        return False
    metric = call.asked("metrics_query")
    return not metric or any(metric in text for text in texts_of(slo))


def _has_tag(slo: Document, wanted: str) -> bool:
    tags = [*slo["tags"], *slo["monitor_tags"]]
    return wanted in tags or any(tag.startswith(f"{wanted}:") for tag in tags)


ROUTES: Final = (
    Route("POST", "/api/v1/slo", _create),
    Route("GET", "/api/v1/slo", _list),
    Route("GET", "/api/v1/slo/can_delete", _can_delete),
    Route("POST", "/api/v1/slo/bulk_delete", _delete_timeframes),
    Route("GET", "/api/v1/slo/{slo_id}", _read),
    Route("PUT", "/api/v1/slo/{slo_id}", _update),
    Route("DELETE", "/api/v1/slo/{slo_id}", _delete),
)
