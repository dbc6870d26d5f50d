"""The table of request bodies is what the official client says, and is read leniently."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pettwin_pipeline.emulator import schema
from pettwin_pipeline.emulator.refusals import Refusal

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "pettwin_pipeline" / "emulator" / "schema" / "bodies.json"


def test_the_table_is_written_from_the_installed_client() -> None:
    written = subprocess.run(
        [sys.executable, "scripts/write_datadog_schema.py"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert json.loads(TABLE.read_text()) == json.loads(written)


def said(operation: str, body: Any) -> str | None:
    try:
        schema.check_body(operation, body)
    except Refusal as refusal:
        return str(refusal.errors[0])
    return None


MONITOR = "POST /api/v1/monitor"
GOOD = {"type": "metric alert", "query": "q"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, None),
        ({"unknown": [1]}, None),
        ({"message": None}, None),
        ({"priority": 2.0}, None),
        ({"priority": True}, "True is not of type 'integer'"),
        ({"tags": "a"}, "'a' is not of type 'array'"),
        ({"tags": [1]}, "1 is not of type 'string'"),
        ({"options": {"thresholds": {"critical": "5"}}}, "'5' is not of type 'number'"),
        ({"options": {"silenced": {"*": None}}}, None),
        ({"query": None}, "None is not of type 'string'"),
    ],
)
def test_a_body_is_measured_field_by_field(more: dict[str, Any], words: str | None) -> None:
    assert said(MONITOR, GOOD | more) == words


def test_what_is_missing_or_not_among_the_values_is_named() -> None:
    assert said(MONITOR, {"type": "metric alert"}) == "'query' is a required property"
    wrong = said(MONITOR, GOOD | {"type": "guess"})
    assert wrong is not None
    assert wrong.startswith("Value of parameter 'type' should be any of these [")


def test_of_several_forms_the_telltale_field_chooses() -> None:
    note = {"type": "note"}
    problem = schema.check_model("v1.WidgetDefinition", note, "definition")
    assert problem is not None
    assert problem.text == "'content' is a required property"
    problem = schema.check_model("v1.WidgetDefinition", {"type": "hologram"}, "definition")
    assert problem is not None
    assert "is not valid under any of the given schemas" in problem.text


def test_a_request_that_the_table_does_not_know_takes_anything() -> None:
    assert said("POST /api/v9/nothing", [1, 2]) is None
