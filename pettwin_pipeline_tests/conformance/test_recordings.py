"""Recorded exchanges with the real API, replayed: the local Datadog answers like it."""

import re
from collections.abc import Iterator

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.conformance.recordings import recorded, replay_tool
from pettwin_pipeline_tests.conformance.scoring import Score, score_recordings


@pytest.fixture
def local() -> Iterator[LocalDatadog]:
    with running_local_datadog() as running:
        yield running


def test_what_is_in_scope_is_answered_like_the_real_api(local: LocalDatadog) -> None:
    total = Score()
    for scored in score_recordings(replay_tool(), local.address):
        if scored.score:
            total += scored.score
    assert total.counts["interactions"] > 300
    ratios = total.ratios
    assert ratios["status"] >= 98, total.differences
    assert ratios["paths"] >= 97, total.differences
    assert ratios["values"] >= 98, total.differences
    assert ratios["extra"] <= 2, total.differences


def test_the_shared_tool_finds_the_same_where_it_can(local: LocalDatadog) -> None:
    """Its four ratios over everything, products that are not spoken here included.

    It compares ids that the server draws where they are called `deleted_dashboard_id`, and does not
    learn tokens: its values cannot reach those above.
    """
    tool = replay_tool()
    total: Score = Score()
    for _, interactions in recorded(tool):
        counts, notes = tool.replay(local.address, interactions)
        total += Score(counts, notes)
    ratios = total.ratios
    assert ratios["status"] >= 95, total.differences
    assert ratios["paths"] >= 90, total.differences
    assert ratios["values"] >= 94, total.differences
    assert ratios["extra"] <= 2, total.differences


def test_only_what_no_recording_made_is_out_of_scope(local: LocalDatadog) -> None:
    left_out = [one for one in score_recordings(replay_tool(), local.address) if one.reason]
    assert 0 < len(left_out) < 50
    writes = [
        one
        for one in left_out
        if one.request["method"] != "GET" and not re.search(r"/(query|search)", one.request["path"])
    ]
    paths = {one.request["path"].split("/")[3] for one in writes}
    assert paths <= {"synthetics", "users"}
