"""Budgets and burn rates, by hand."""

import numpy as np
import pytest

from pettwin_pipeline.datadog_protocol.monitor_syntax import Comparison
from pettwin_pipeline.datadog_protocol.slos import (
    Events,
    budget_consumed,
    budget_left,
    burn_rate,
    burning,
    most_burn_rate,
    of_good_and_bad,
    overall_uptime,
    slice_uptime,
)


def test_the_status_is_the_percentage_that_was_good() -> None:
    assert of_good_and_bad(995, 5).status == pytest.approx(99.5)
    assert Events(90, 100).error_rate == pytest.approx(0.1)


def test_nothing_at_all_has_no_status_and_no_errors() -> None:
    assert (Events(0, 0).status, Events(0, 0).error_rate) == (None, 0)


@pytest.mark.parametrize(
    ("status", "target", "left"),
    [(100, 99, 100), (99.5, 99, 50), (99, 99, 0), (98, 99, -100), (99.95, 99.9, 50)],
)
def test_the_budget_that_is_left(status: float, target: float, left: float) -> None:
    assert budget_left(status, target) == pytest.approx(left)
    assert budget_consumed(status, target) == pytest.approx(100 - left)


def test_a_burn_rate_is_the_error_rate_over_what_is_allowed() -> None:
    assert burn_rate(0.001, 99.9) == pytest.approx(1)
    assert burn_rate(0.0144, 99.9) == pytest.approx(14.4)
    assert most_burn_rate(99.9) == pytest.approx(1000)
    assert most_burn_rate(90) == pytest.approx(10)


def test_both_windows_must_burn() -> None:
    good, bad = Events(1000, 1000), Events(900, 1000)
    assert burning(bad, bad, 99) == pytest.approx(10)
    assert burning(bad, good, 99) == 0
    assert burning(good, bad, 99) == 0
    assert burning(Events(0, 0), bad, 99) is None


def test_a_slice_is_up_while_its_condition_holds_or_nothing_is_known() -> None:
    found = slice_uptime(np.array([10.0, 3000, np.nan, 1999]), Comparison("<", 2000))
    assert (found.good, found.total, found.status) == (3, 4, 75)


def test_all_groups_must_be_up() -> None:
    assert overall_uptime([[True, True, False], [True, False, True]]).status == pytest.approx(
        100 / 3
    )
