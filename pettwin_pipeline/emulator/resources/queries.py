"""Queries over points: what they ask is checked here, what they find comes from the store.

The store is not built yet: every query finds nothing. Its answers keep the form of the real ones.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import refuse
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

RETENTION_S: Final = 5 * 365 * 86_400
"""Datadog keeps points for 15 months; here the store decides, and this only bounds the question."""


def _checked(state: State, call: Call) -> Document:
    attributes = call.checked_attributes()
    begins, ends = attributes["from"], attributes["to"]
    if begins >= ends:
        refuse("Invalid time range: from must be before to")
    for query in attributes["queries"]:
        if query.get("data_source") == "metrics":
            _check_metric_query(query["query"])
    if ends / 1000 < state.clock.now_s() - RETENTION_S:
        refuse("Queries ending outside the retention date are invalid")
    return attributes


def _check_metric_query(query: str) -> None:
    from pettwin_pipeline.datadog_protocol.parsing import parse_metric

    try:
        parse_metric(query)
    except QuerySyntaxError as error:
        rest = query[error.column - 1 :]
        refuse(
            f"Error parsing query: \n unable to parse {query}: {error.problem} at {rest!r} "
            f"(line 1, column {error.column})."
        )


def _formulas(attributes: Document) -> list[str]:
    told = [one["formula"] for one in attributes.get("formulas") or ()]
    return told or [one.get("name") or "" for one in attributes["queries"]]


def _timeseries(state: State, call: Call) -> Answer:
    _checked(state, call)
    nothing: Document = {"series": [], "times": [], "values": []}
    data = {"id": "0", "type": "timeseries_response", "attributes": nothing}
    return Answer({"data": data})


def _scalar(state: State, call: Call) -> Answer:
    columns = [
        {"name": name, "values": [], "type": "number", "meta": {"unit": None}}
        for name in _formulas(_checked(state, call))
    ]
    data = {"id": "0", "type": "scalar_response", "attributes": {"columns": columns}}
    return Answer({"data": data})


def _query(state: State, call: Call) -> Answer:
    del state
    begins, ends = call.asked_second("from"), call.asked_second("to")
    query = call.asked("query")
    if not query:
        refuse("The parameter 'query' is required")
    _check_metric_query(query)
    if begins >= ends:
        refuse("Invalid time range: from must be before to")
    body: dict[str, Any] = {
        "status": "ok",
        "res_type": "time_series",
        "resp_version": 1,
        "query": query,
        "from_date": begins * 1000,
        "to_date": ends * 1000,
        "series": [],
        "values": [],
        "times": [],
        "message": "",
        "group_by": [],
    }
    return Answer(body)


ROUTES: Final = (
    Route("GET", "/api/v1/query", _query),
    Route("POST", "/api/v2/query/timeseries", _timeseries),
    Route("POST", "/api/v2/query/scalar", _scalar),
)
