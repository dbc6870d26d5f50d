"""Search queries of logs, events and the like: what can be wrong with one before anybody searches.

Only its outline is read: quotes and parentheses that do not close, operators with nothing beside
them. What a term means is the business of whoever searches.
"""

import re
from typing import Final

_WORD: Final = re.compile(r'\\.|"(?:[^"\\]|\\.)*"|"|[()]|[^\s()"\\]+', re.DOTALL)
_BETWEEN: Final = frozenset({"AND", "OR"})
_OPERATORS: Final = _BETWEEN | {"NOT"}


def search_problem(query: str) -> tuple[int, str] | None:
    """Where, from 0, and what is wrong; None where the outline is right. An empty one is all."""
    opened: list[int] = []
    before = "("
    place = 0
    for found in _WORD.finditer(query):
        word, at = found[0], found.start()
        if word == '"':
            return at, "a quote is not closed"
        if word in _BETWEEN and (before in _OPERATORS or before == "("):
            return at, f"{word} has nothing before it"
        if word == ")":
            if not opened:
                return at, "a parenthesis closes nothing"
            if before in _OPERATORS or before == "(":
                return at, "there is nothing before the parenthesis"
            opened.pop()
        if word == "(":
            opened.append(at)
        before, place = word, at
    if opened:
        return opened[-1], "a parenthesis is not closed"
    return (place, f"{before} has nothing behind it") if before in _OPERATORS else None
