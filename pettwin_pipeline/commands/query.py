"""`pettwin query check`: whether Datadog would take a query, and if not, where it goes wrong."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pettwin_pipeline.datadog_protocol import parsing
from pettwin_pipeline.errors import QuerySyntaxError


def check(file: str | None, say: Callable[[str], None]) -> int:
    """Say one line for each line of `file`, or of standard input; 1 if any is an error, else 0."""
    failed = False
    for answer in answers(_lines(file)):
        failed = failed or answer.startswith("error")
        say(answer)
    return int(failed)


def answers(lines: Iterable[str]) -> Iterator[str]:
    """`ok` or `error at COLUMN: text` for each line, nothing for a blank one.

    A line is `KIND<TAB>QUERY`; without a tab it is a metric query. Columns count from 1 in
    characters of the query.
    """
    for line in lines:
        if not line.strip():
            yield ""
            continue
        kind, tab, query = line.rstrip("\r\n").partition("\t")
        yield answer(kind.strip().lower(), query) if tab else answer("metric", kind)


def answer(kind: str, query: str) -> str:
    """`ok` or `error at COLUMN: text`."""
    if kind not in parsing.KINDS:
        return f"error at 1: there is no kind {kind!r}: {', '.join(parsing.KINDS)}"
    try:
        parsing.parse(kind, query)
    except QuerySyntaxError as error:
        return f"error at {error.column}: {error.problem}"
    return "ok"


def _lines(file: str | None) -> Iterator[str]:
    """Decoded as UTF-8 wherever they come from; only a line feed ends one."""
    if file in {None, "-"}:
        yield from (_decoded(line) for line in sys.stdin.buffer)
        return
    with Path(str(file)).open("rb") as opened:
        yield from (_decoded(line) for line in opened)


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").removeprefix("\ufeff")
