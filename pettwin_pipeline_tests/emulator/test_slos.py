"""SLOs: what the server adds, and what it refuses, in the words of the real one."""

from typing import Any

import pytest

from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.resources.slo_shape import display, settled
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask

QUERY = {"numerator": "sum:good{*}.as_count()", "denominator": "sum:all{*}.as_count()"}
WEEK = {"timeframe": "7d", "target": 99.9}


def told(**more: Any) -> dict[str, Any]:
    return {"name": "n", "type": "metric", "query": QUERY, "thresholds": [WEEK], **more}


def test_percentages_are_shown_as_the_real_api_shows_them() -> None:
    assert [display(one) for one in (99.5, 99.0, 99.95, 100.0)] == ["99.5", "99.", "99.95", "100."]


def test_a_metric_slo_of_formulas_has_its_queries_spelt_out() -> None:
    queries = [{"name": "a", "query": "sum:x{*}"}, {"name": "b", "query": "sum:y{*}"}]
    count = {"good_events_formula": {"formula": "a - b"}, "queries": queries}
    bad = {"count": {**count, "bad_events_formula": {"formula": "b"}}}
    assert settled(told(sli_specification=bad), "metric")["query"] == {
        "numerator": "sum:x{*} - sum:y{*}",
        "denominator": "(sum:x{*} - sum:y{*}) + (sum:y{*})",
    }
    total = {"count": {**count, "total_events_formula": {"formula": "a"}}}
    assert settled(told(sli_specification=total), "metric")["query"]["denominator"] == "sum:x{*}"


def test_the_first_threshold_is_mirrored_at_the_top_unless_another_is_chosen() -> None:
    month = {"timeframe": "30d", "target": 99.0, "warning": 99.5}
    document = settled(told(thresholds=[WEEK, month]), "metric")
    assert (document["timeframe"], document["target_threshold"]) == ("7d", 99.9)
    assert "warning_threshold" not in document
    chosen = settled(told(thresholds=[WEEK, month], timeframe="30d"), "metric")
    assert (chosen["target_threshold"], chosen["warning_threshold"]) == (99.0, 99.5)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("monitor", {}, "Invalid payload: must specify monitor_ids"),
        ("metric", {"query": None}, "Invalid payload: must specify the query for count types"),
        ("metric", {"thresholds": []}, "Invalid payload: must specify thresholds"),
        (
            "metric",
            {"thresholds": [WEEK | {"warning": 99.0}]},
            "Invalid payload: warning must be greater than target",
        ),
        (
            "metric",
            {"thresholds": [WEEK | {"target": 100}]},
            "Invalid payload: target must be between 0 and 100",
        ),
        (
            "time_slice",
            {},
            "Invalid payload: must specify the sli_specification for time slice types",
        ),
    ],
)
def test_what_is_no_slo_is_refused(kind: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(Refusal) as refused:
        settled(told(**more), kind)
    assert refused.value.errors == [words]


def test_the_type_of_an_slo_stays_and_decides_what_a_change_needs(local: LocalDatadog) -> None:
    (made,) = ask(local, "POST", "/api/v1/slo", told()).json["data"]
    change = {"name": "n", "type": "monitor", "thresholds": [WEEK]}
    refused = ask(local, "PUT", f"/api/v1/slo/{made['id']}", change)
    assert refused.errors == ["Invalid payload: must specify the query for count types"]


def test_an_slo_on_a_dashboard_is_not_deleted_unless_forced(local: LocalDatadog) -> None:
    (made,) = ask(local, "POST", "/api/v1/slo", told()).json["data"]
    widget = {"type": "slo", "view_type": "detail", "slo_id": made["id"]}
    body = {"title": "b", "layout_type": "ordered", "widgets": [{"definition": widget}]}
    board = ask(local, "POST", "/api/v1/dashboard", body).json
    path = f"/api/v1/slo/{made['id']}"
    assert ask(local, "DELETE", path).status == 409
    used = ask(local, "GET", f"/api/v1/slo/can_delete?ids={made['id']}")
    assert used.status == 409
    assert board["id"] in used.json["errors"][made["id"]]
    assert ask(local, "DELETE", f"{path}?force=true").status == 200
