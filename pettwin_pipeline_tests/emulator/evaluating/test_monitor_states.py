"""The file of states: what cannot be written is not half kept, and stops nothing after it."""

import sqlite3
from pathlib import Path
from typing import Any, cast

import pytest

from pettwin_pipeline.datadog_protocol.monitor_options import Status
from pettwin_pipeline.emulator.evaluating.monitor_states import MonitorStates, StatusChange
from pettwin_pipeline.emulator.evaluating.records import MonitorRecord


def test_what_a_full_disk_refuses_is_not_half_kept_and_may_come_again(tmp_path: Path) -> None:
    states = MonitorStates(tmp_path / "states.sqlite")
    base = states._base
    (pages,) = base.execute("pragma page_count").fetchone()
    base.execute(f"pragma max_page_count = {pages}")
    records = {number: MonitorRecord("query alert", (), float(number)) for number in range(2000)}
    change = StatusChange(("host:a",), 60.0, Status.ALERT)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        states.keep(records, [(7, change)])
    assert (states.get(7), states.changes(7, 60.0)) == (None, [])
    base.execute("pragma max_page_count = 1000000")
    states.keep(records, [(7, change)])
    states.close()
    again = MonitorStates(tmp_path / "states.sqlite")
    assert (again.get(7), again.changes(7, 60.0)) == (records[7], [change])
    again.close()


def test_after_a_write_that_failed_in_the_middle_the_next_one_is_kept() -> None:
    states = MonitorStates()
    record = MonitorRecord("query alert", (), 60.0)
    timeless = StatusChange(("host:a",), cast("Any", None), Status.ALERT)
    with pytest.raises(sqlite3.IntegrityError):
        states.keep({7: record}, [(7, timeless)])
    states.keep({8: record}, [])
    assert (states.get(7), states.get(8)) == (None, record)
    states.forget_all_but([])
    assert states.get(8) is None
