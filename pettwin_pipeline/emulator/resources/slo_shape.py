"""An SLO as it is kept: what a request must say, and what the real API adds to it.

Pure. Source: recordings; sentences marked (?) are inferred.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.storage import Document

TYPE_IDS: Final = {"monitor": 0, "metric": 1, "time_slice": 2}
_SLICE_S: Final = 300
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WHOLE: Final = 100.0


def settled(told: Document, kind: str) -> Document:
    """The part of an SLO that people decide.

    Args:
        told: a request, checked against the schema.
        kind: `metric`, `monitor` or `time_slice`; of an SLO that is changed it stays.

    Raises:
        Refusal: 400.
    """
    thresholds = [_threshold(one) for one in _told_thresholds(told)]
    timeframe = told.get("timeframe") or thresholds[0]["timeframe"]
    chosen = next((one for one in thresholds if one["timeframe"] == timeframe), None)
    if chosen is None:
        refuse(f"Invalid payload: no threshold for timeframe {timeframe}")
    document = {
        "name": told["name"],
        "tags": list(told.get("tags") or ()),
        "monitor_tags": [],
        "thresholds": thresholds,
        "type": kind,
        "type_id": TYPE_IDS[kind],
        "description": told.get("description") or "",
        "timeframe": timeframe,
        "target_threshold": chosen["target"],
    }
    if "warning" in chosen:
        document["warning_threshold"] = chosen["warning"]
    return {**document, **_indicator(told, kind)}


def _told_thresholds(told: Document) -> list[Document]:
    thresholds: list[Document] = told.get("thresholds") or []
    if not thresholds:
        refuse("Invalid payload: must specify thresholds")
    if len({one["timeframe"] for one in thresholds}) < len(thresholds):
        refuse("Invalid payload: timeframes must be unique")
    return thresholds


def _threshold(told: Document) -> Document:
    target, warning = float(told["target"]), told.get("warning")
    if told["timeframe"] == "custom":
        refuse("Invalid payload: timeframe must be one of 7d, 30d, 90d")
    if not 0 < target < WHOLE:
        refuse("Invalid payload: target must be between 0 and 100")
    found = {"timeframe": told["timeframe"], "target": target, "target_display": display(target)}
    if warning is None:
        return found
    if not target < float(warning) <= WHOLE:
        refuse("Invalid payload: warning must be greater than target")
    return {**found, "warning": float(warning), "warning_display": display(float(warning))}


def display(number: float) -> str:
    """A percentage as the API writes it: `99.5`, and `95.` for a whole one."""
    return repr(number).removesuffix("0") if number.is_integer() else repr(number)


def _indicator(told: Document, kind: str) -> Document:
    if kind == "monitor":
        if not told.get("monitor_ids"):
            refuse("Invalid payload: must specify monitor_ids")
        groups = {"groups": told["groups"]} if told.get("groups") else {}
        return {"monitor_ids": list(told["monitor_ids"]), **groups}
    specification = told.get("sli_specification")
    if kind == "time_slice":
        if not specification or "time_slice" not in specification:
            refuse("Invalid payload: must specify the sli_specification for time slice types")
        return {"sli_specification": {"time_slice": _with_interval(specification["time_slice"])}}
    if specification and "count" in specification:
        count = specification["count"]
        if ("bad_events_formula" in count) == ("total_events_formula" in count):
            refuse(
                "Invalid payload: must specify exactly one of total_events_formula and "
                "bad_events_formula"
            )
        query = _counted(specification["count"])
        return {"query": query, "sli_specification": specification}
    if not told.get("query"):
        refuse("Invalid payload: must specify the query for count types")
    return {"query": {name: told["query"][name] for name in ("denominator", "numerator")}}


def _with_interval(time_slice: Document) -> Document:
    return {"query_interval_seconds": _SLICE_S, **time_slice}


def _counted(count: Document) -> Document:
    """Numerator and denominator of formulas over named queries."""
    queries = {one["name"]: one["query"] for one in count.get("queries") or ()}

    def spelt_out(name: str) -> str:
        formula = (count.get(name) or {}).get("formula", "")
        return _NAME.sub(lambda match: queries.get(match[0], match[0]), formula)

    good = spelt_out("good_events_formula")
    if "bad_events_formula" in count:
        return {"numerator": good, "denominator": f"({good}) + ({spelt_out('bad_events_formula')})"}
    return {"numerator": good, "denominator": spelt_out("total_events_formula")}


def texts_of(slo: Document) -> Iterable[str]:
    """Every query that an SLO reads."""
    yield from (slo.get("query") or {}).values()
    found: Any = slo.get("sli_specification") or {}
    for part in found.values():
        queries = part.get("queries") or (part.get("query") or {}).get("queries") or ()
        yield from (one.get("query", "") for one in queries)
