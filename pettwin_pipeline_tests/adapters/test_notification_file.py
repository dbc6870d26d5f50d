"""Alerts as lines of a file: whole lines, whoever else writes, or a failure that says why."""

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from pettwin_pipeline.adapters.ledger_outbox import Notification
from pettwin_pipeline.adapters.notification_file import NotificationFile
from pettwin_pipeline.adapters.notifications import Failure
from pettwin_pipeline_tests.adapters.ledgers import NOW_S
from pettwin_pipeline_tests.adapters.notified import notification, told


def write(path: Path, one: Notification, patience_s: float = 5.0) -> Failure | None:
    """One delivery."""
    channel = NotificationFile(path, env="test", service="pettwin", patience_s=patience_s)
    return channel.deliver(one, NOW_S)


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def test_each_alert_is_a_line_below_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    first, second = notification("a1", reason='héllo\n"rex"\u2028'), notification("a2")
    assert write(path, first) is None
    assert write(path, second) is None
    assert lines(path) == [told(first), told(second)]


def test_a_torn_line_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    path.write_text('{"notification_id": "a1", "en')
    assert write(path, notification("a1")) is None
    torn, whole = path.read_text().splitlines()
    assert torn == '{"notification_id": "a1", "en'
    assert json.loads(whole) == told(notification("a1"))


def test_a_full_disk_is_a_failure() -> None:
    assert write(Path("/dev/full"), notification()) == Failure("/dev/full: No space left on device")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from pettwin_pipeline_tests.adapters.notified import notification
from pettwin_pipeline_tests.adapters.test_notification_file import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
print(write(Path(sys.argv[1]), notification("a1")))
"""


def test_a_line_that_fits_only_in_part_is_a_failure_and_comes_again_whole(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    command = [sys.executable, "-c", LIMITED, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "only a part of the line could be written: is the disk full?" in printed
    assert path.stat().st_size == 300, "this is what the test is about"
    assert write(path, notification("a1")) is None
    assert json.loads(path.read_text().splitlines()[-1]) == told(notification("a1"))


def test_a_missing_folder_is_a_failure_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there.ndjson"
    assert write(path, notification()) == Failure(f"{path}: No such file or directory")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_a_failure(tmp_path: Path) -> None:
    assert write(tmp_path, notification()) == Failure(f"{tmp_path}: Is a directory")


def test_a_pipe_takes_lines_while_somebody_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert write(path, notification()) == Failure(f"{path}: No such device or address")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert write(path, notification()) is None
    assert json.loads(os.read(reader, 65536)) == told(notification())
    os.close(reader)


def test_a_lock_of_another_program_is_waited_for_and_then_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = write(path, notification("a1"), patience_s=0.05)
        assert found == Failure(f"{path}: another program holds its lock")
        writer = threading.Thread(target=write, args=(path, notification("a2")))
        writer.start()
        fcntl.flock(held, fcntl.LOCK_UN)
        writer.join()
    assert [one["notification_id"] for one in lines(path)] == ["a2"]


WRITES_MANY = """
import sys
from pathlib import Path
from pettwin_pipeline_tests.adapters.notified import notification
from pettwin_pipeline_tests.adapters.test_notification_file import write
path, name = Path(sys.argv[1]), sys.argv[2]
for number in range(50):
    assert write(path, notification(f"{name}-{number}", reason="x" * 10_000)) is None
"""


def test_lines_of_writers_at_once_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    names = ("one", "two", "three")
    commands = [[sys.executable, "-c", WRITES_MANY, str(path), name] for name in names]
    writers = [subprocess.Popen(command) for command in commands]
    assert [one.wait() for one in writers] == [0, 0, 0]
    found = [one["notification_id"] for one in lines(path)]
    assert sorted(found) == sorted(f"{name}-{n}" for name in names for n in range(50))
    for name in names:
        mine = [one for one in found if one.startswith(name)]
        assert mine == [f"{name}-{n}" for n in range(50)]


def forget(path: Path, pet_id: str) -> int:
    return NotificationFile(path, env="test", service="pettwin").forget(pet_id)


def test_the_lines_of_an_erased_pet_are_taken_out_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    other = notification("a2", pet_id="rexy")
    for one in (notification("a1"), other, notification("a3")):
        assert write(path, one) is None
    assert forget(path, "rex") == 2
    assert lines(path) == [told(other)]
    assert write(path, notification("a4")) is None
    assert len(lines(path)) == 2


def test_a_torn_line_that_names_an_erased_pet_is_taken_out_too(tmp_path: Path) -> None:
    path = tmp_path / "told.ndjson"
    path.write_text('{"pet_id":"bo","a\n{"pet_id":"rex","alert_i\n7\n')
    assert forget(path, "rex") == 1
    assert path.read_text() == '{"pet_id":"bo","a\n7\n'


def test_nothing_is_forgotten_where_nothing_was_told(tmp_path: Path) -> None:
    assert forget(tmp_path / "none.ndjson", "rex") == 0
