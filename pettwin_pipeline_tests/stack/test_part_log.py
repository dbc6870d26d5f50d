import subprocess
import sys
from pathlib import Path

from pettwin_pipeline.stack.part_log import last_lines, open_log, trim_log


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "one.log"
    for text in (b"first\n", b"second\n"):
        with open_log(path, "one starts") as log:
            log.write(text)
    assert last_lines(path) == ["--- one starts", "first", "--- one starts", "second"]


def test_only_the_last_lines_of_a_long_log_are_read(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_text("".join(f"line {n}\n" for n in range(10_000)))
    assert last_lines(path, 2) == ["line 9998", "line 9999"]


def test_bytes_that_are_no_text_do_not_hide_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_bytes(b"\xff\xfe broken\nfine\n")
    assert last_lines(path)[-1] == "fine"


def test_a_missing_log_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log") == []
    trim_log(tmp_path / "none.log")


def test_who_writes_a_log_goes_on_at_its_start_after_it_was_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    with open_log(path, "one starts") as log:
        log.write(b"x" * 100 + b"\n")
        trim_log(path, largest_bytes=50)
        log.write(b"after\n")
    assert path.read_bytes() == b"after\n"
    assert b"x" * 100 in path.with_name("one.log.1").read_bytes()


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    path.write_bytes(b"x" * 50)
    trim_log(path, largest_bytes=50)
    assert path.read_bytes() == b"x" * 50
    assert not path.with_name("one.log.1").exists()


def test_of_a_traceback_what_was_raised_and_its_cause_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = (
        "print('  starting', flush=True)\n"
        "def load(depth):\n"
        "    if depth: return load(depth - 1)\n"
        "    try: raise KeyError('A')\n"
        "    except KeyError as cause: raise RuntimeError('not loaded') from cause\n"
        "load(20)\n"
    )
    with log.open("wb") as output:
        subprocess.run([sys.executable, "-c", source], stdout=output, stderr=output, check=False)
    told = [line for line in last_lines(log, 6) if line]
    caused = "The above exception was the direct cause of the following exception:"
    assert told == ["  starting", "KeyError: 'A'", caused, "RuntimeError: not loaded"]
