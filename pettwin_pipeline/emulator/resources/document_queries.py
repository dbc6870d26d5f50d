"""Logs and events as queries of a formula: `data_source` logs or events, counted or measured."""

from typing import Final

from pettwin_pipeline.datadog_protocol.frames import Frame
from pettwin_pipeline.datadog_protocol.rolling import Grid
from pettwin_pipeline.datadog_protocol.searching import parse_search
from pettwin_pipeline.emulator.counted_documents import Facet, Measure, counted
from pettwin_pipeline.emulator.refusals import bad_request
from pettwin_pipeline.emulator.resources.event_store import timed_events
from pettwin_pipeline.emulator.resources.log_store import timed_logs
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.errors import QuerySyntaxError

SOURCES: Final = {"logs": timed_logs, "events": timed_events}
_USUAL_LIMIT: Final = 10


def document_frame(state: State, query: Document, over: Grid) -> Frame:
    """What the query comes to in each bucket.

    Raises:
        Refusal: 400, its search cannot be read.
    """
    text = (query.get("search") or {}).get("query") or "*"
    try:
        finds = parse_search(text)
    except QuerySyntaxError as error:
        raise bad_request(f"Query parsing error: {error}") from None
    compute = query.get("compute") or {}
    measure = Measure(compute.get("aggregation") or "count", compute.get("metric"))
    facets = [
        Facet(one["facet"], one.get("limit") or _USUAL_LIMIT) for one in query.get("group_by") or ()
    ]
    documents = SOURCES[query["data_source"]](state, over.start_s, over.end_s)
    return counted(documents, finds, [measure], facets, over)[0]
