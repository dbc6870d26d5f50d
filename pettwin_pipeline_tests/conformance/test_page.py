"""The page about the local Datadog says what the recordings and the routes say today."""

from pettwin_pipeline_tests.conformance.page import render_page
from pettwin_pipeline_tests.conformance.recordings import REPOSITORY, replay_tool


def test_the_page_is_current() -> None:
    replay_tool()
    kept = (REPOSITORY / "docs" / "local-datadog.md").read_text()
    assert kept == render_page(), (
        "write it again: .venv/bin/python -m pettwin_pipeline_tests.conformance.page "
        "> docs/local-datadog.md"
    )
