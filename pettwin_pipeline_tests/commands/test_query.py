"""`pettwin query check`: one answer a line, and an exit code that a script can trust."""

import io
from pathlib import Path

import pytest

from pettwin_pipeline.cli import run

LINES = """\
avg:system.load.1{*} by {host}
metric\tavg:a{*

formula\tquery1 / query2
query alert\tavg(last_5m):avg:a{*} > 5
weather\tavg:a{*}
composite\t1 && 2\r
  Metric \tavg:gr\u00f6\u00dfe{*}"""
ANSWERS = [
    "ok",
    "error at 8: ",
    "",
    "ok",
    "ok",
    "error at 1: there is no kind 'weather'",
    "ok",
    "error at 5: ",
]


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = run(["query", "check", *arguments])
    return code, capsys.readouterr().out.split("\n")[:-1]


def test_each_line_of_a_file_has_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.tsv"
    file.write_text(LINES, "utf-8")
    code, answers = check(capsys, str(file))
    assert code == 1
    assert len(answers) == len(ANSWERS)
    for answer, begins in zip(answers, ANSWERS, strict=True):
        assert answer.startswith(begins)
        assert bool(answer) == bool(begins)


def test_all_fine_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "queries.tsv"
    file.write_text("\ufeffavg:a{*}\n\nformula\ta + b\n", "utf-8")
    assert check(capsys, str(file)) == (0, ["ok", "", "ok"])


@pytest.mark.parametrize("arguments", [(), ("-",)])
def test_standard_input_is_read_without_a_file(
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = io.TextIOWrapper(io.BytesIO(b"avg:a{*}\navg:\xff{*}\n"), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", given)
    code, answers = check(capsys, *arguments)
    assert (code, len(answers), answers[0]) == (1, 2, "ok")
    assert answers[1].startswith("error at ")


def test_a_missing_file_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "check", "/nowhere/at/all"]) == 2
    assert "/nowhere/at/all" in capsys.readouterr().err
