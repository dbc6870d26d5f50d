"""What is kept survives a restart, whole, in its order."""

import sqlite3
from pathlib import Path

import pytest

from pettwin_pipeline.emulator.server import running_local_datadog
from pettwin_pipeline.emulator.storage import Storage
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline_tests.emulator.asking import ask

BOARD = {"title": "one", "layout_type": "ordered", "widgets": []}


def test_what_was_made_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "datadog.sqlite"
    with running_local_datadog(path=path) as local:
        made = ask(local, "POST", "/api/v1/dashboard", BOARD).json
    with running_local_datadog(path=path) as local:
        assert ask(local, "GET", f"/api/v1/dashboard/{made['id']}").json == made


def test_documents_come_in_the_order_of_their_making_also_when_changed() -> None:
    storage = Storage()
    for name in ("b", "a", "c"):
        storage.put("kind", name, {"name": name})
    storage.put("kind", "b", {"name": "changed"})
    assert [one["name"] for one in storage.all("kind")] == ["changed", "a", "c"]


def test_what_is_written_together_is_written_whole_or_not_at_all() -> None:
    storage = Storage()

    def half() -> None:
        with storage.together():
            storage.put("kind", 1, {})
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert storage.all("kind") == []


def test_only_the_newest_are_kept_when_asked() -> None:
    storage = Storage()
    for number in range(10):
        storage.put("kind", number, {"n": number})
        storage.put("other", number, {})
    storage.keep_newest("kind", 3)
    assert [one["n"] for one in storage.all("kind")] == [7, 8, 9]
    assert storage.counts() == {"kind": 3, "other": 10}


def test_a_document_that_is_read_is_a_copy() -> None:
    storage = Storage()
    storage.put("kind", 1, {"list": []})
    found = storage.get("kind", 1)
    assert found is not None
    found["list"].append(1)
    assert storage.get("kind", 1) == {"list": []}


def test_a_file_of_another_release_or_none_of_ours_is_refused(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as base:
        base.execute("pragma user_version = 99")
    base.close()
    with pytest.raises(UnknownFormatError, match="format 99"):
        Storage(newer)
    text = tmp_path / "text.sqlite"
    text.write_text("this is no database, but long enough to be taken for one" * 50)
    with pytest.raises(UnknownFormatError, match=r"text\.sqlite"):
        Storage(text)
