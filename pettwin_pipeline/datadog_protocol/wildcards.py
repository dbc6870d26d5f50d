"""Wildcards in values: `*` for any characters and `?` for one, in time that grows with the text."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

Matches: TypeAlias = Callable[[str], bool]

_PIECE: Final = re.compile(r"\\.|.", re.DOTALL)


@lru_cache(maxsize=4096)
def wildcard(pattern: str, *, questions: bool = False) -> Matches:
    """Whether a whole text is like the pattern; a backslash before a mark makes it itself.

    Args:
        pattern: with `*`, and with `?` where `questions` says that it is a mark.
        questions: whether `?` stands for one character.
    """
    segments, lengths = _segments(pattern, questions=questions)
    first, *inner = [re.compile(one, re.DOTALL) for one in segments]
    if not inner:
        return lambda text: first.fullmatch(text) is not None
    *middle, last = inner

    def matches(text: str) -> bool:
        place, end = lengths[0], len(text) - lengths[-1]
        if place > end or not first.match(text) or not last.match(text, end):
            return False
        for one in middle:
            found = one.search(text, place, end)
            if found is None:
                return False
            place = found.end()
        return True

    return matches


def _segments(pattern: str, *, questions: bool) -> tuple[list[str], list[int]]:
    """What stands between the stars as regular expressions, each of a fixed length."""
    segments, lengths = [""], [0]
    for piece in _PIECE.findall(pattern):
        if piece == "*":
            segments.append("")
            lengths.append(0)
            continue
        one = questions and piece == "?"
        segments[-1] += "." if one else re.escape(piece[-1])
        lengths[-1] += 1
    return segments, lengths
