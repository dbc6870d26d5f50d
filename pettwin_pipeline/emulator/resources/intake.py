"""Where metrics and checks come in over HTTP. What is accepted is handed on to the store.

v2 refuses fields that it does not know and types that are told as text. Source: recordings.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.resources.metric_names import saw_metric
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

_TYPES_V2: Final = {0: "gauge", 1: "count", 2: "rate", 3: "gauge"}
"""0 is unspecified; 3 is not used."""
_FIELDS_V2: Final = frozenset(
    {
        "interval", "metadata", "metric", "points", "resources", "source_type_name", "tags",
        "type", "unit",
    }
)  # fmt: skip
_TYPES_V1: Final = frozenset({"gauge", "count", "rate"})
_ACCEPTED: Final = Answer({"status": "ok"}, 202)


def _series(call: Call) -> list[Document]:
    series = call.checked().get("series")
    if not isinstance(series, list) or not all(isinstance(one, dict) for one in series):
        refuse("Payload is not in the expected format: series is missing")
    return series


def _tags(told: Any) -> list[str]:
    return [str(tag).lower() for tag in told or ()]


def _series_v1(state: State, call: Call) -> Answer:
    for one in _series(call):
        kind = one.get("type") or "gauge"
        known = kind if kind in _TYPES_V1 else "gauge"
        saw_metric(state, one["metric"], known, _tags(one.get("tags")), one.get("host"))
    return _ACCEPTED


def _series_v2(state: State, call: Call) -> Answer:
    for one in _series(call):
        unknown = one.keys() - _FIELDS_V2
        if unknown:
            refuse(f"Payload is not in the expected format: unknown field {min(unknown)}")
        hosts = [
            told.get("name") for told in one.get("resources") or () if told.get("type") == "host"
        ]
        kind = _TYPES_V2.get(one.get("type") or 0, "gauge")
        saw_metric(state, one["metric"], kind, _tags(one.get("tags")), (hosts or [None])[0])
    return Answer({"errors": []}, 202)


def _distribution_points(state: State, call: Call) -> Answer:
    for one in _series(call):
        saw_metric(state, one["metric"], "distribution", _tags(one.get("tags")), one.get("host"))
    return _ACCEPTED


def _check_run(state: State, call: Call) -> Answer:
    del state
    told = call.json()
    for one in told if isinstance(told, list) else [told]:
        if not isinstance(one, dict) or not isinstance(one.get("check"), str):
            refuse("Payload is not in the expected format: check is missing")
        if one.get("status") not in {0, 1, 2, 3}:
            refuse("Payload is not in the expected format: status should be 0, 1, 2 or 3")
    return _ACCEPTED


ROUTES: Final = (
    Route("POST", "/api/v1/series", _series_v1, "api"),
    Route("POST", "/api/v2/series", _series_v2, "api"),
    Route("POST", "/api/v1/distribution_points", _distribution_points, "api"),
    Route("POST", "/api/v1/check_run", _check_run, "api"),
)
