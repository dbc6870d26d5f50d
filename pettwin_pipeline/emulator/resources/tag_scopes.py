"""Scopes over tags as downtimes have them: `env:(prod OR dev) AND NOT host:a`, `*`, lists.

Pure. Says whether a scope is well formed, and whether it holds for a set of tags.
"""

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Final

from pettwin_pipeline.emulator.refusals import Refusal, bad_request

_WORD: Final = re.compile(r'\s*(\(|\)|,|!|-(?=\S)|(?:"[^"]*"|[^\s(),!"])+)')
_NEGATIONS: Final = frozenset({"NOT", "!", "-"})
_MOST_WORDS: Final = 500
_DEEPEST: Final = 50


def _malformed() -> Refusal:
    return bad_request("Invalid scope parameter")


def _words(scope: str) -> list[str]:
    found: list[str] = []
    at, text = 0, scope.rstrip()
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None or len(found) > _MOST_WORDS:
            raise _malformed()
        found.append(match[1].replace('"', ""))
        at = match.end()
    return found


def check_scope(scope: str) -> None:
    """Refuse a scope that is not well formed, or a word in it that has no key and is not `*`.

    Raises:
        Refusal: 400.
    """
    scope_holds(scope, ())


def scope_holds(scope: str, tags: Collection[str]) -> bool:
    """Whether a scope holds for tags: of a list all must, AND binds more than OR.

    Raises:
        Refusal: 400, it is not well formed.
    """
    reader = _Reader(_words(scope), frozenset(tags))
    holds = reader.alternatives("")
    if reader.next():
        raise _malformed()
    return holds


class _Reader:
    def __init__(self, words: list[str], tags: frozenset[str]) -> None:
        self._words = words
        self._tags = tags
        self._at = 0
        self._depth = 0

    def next(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._words[place] if place < len(self._words) else ""

    def alternatives(self, key: str) -> bool:
        holds = self._all(key)
        while self.next() == "OR":
            self._at += 1
            holds = self._all(key) or holds
        return holds

    def _all(self, key: str) -> bool:
        holds = self._one(key)
        while self.next() not in {"", "OR", ")"}:
            if self.next() in {"AND", ","}:
                self._at += 1
            holds = self._one(key) and holds
        return holds

    def _one(self, key: str) -> bool:
        word = self.next()
        self._at += 1
        if word in _NEGATIONS:
            return not self._inside(key, bracket=False)
        if word == "(":
            return self._inside(key)
        if word in {"", ")", ",", "AND", "OR", "IN"}:
            raise _malformed()
        if word.endswith(":") and self.next() == "(":
            self._at += 1
            return self._inside(word)
        if self.next() == "IN" or (self.next() == "NOT" and self.next(1) == "IN"):
            return self._in_list(word)
        if not key and word != "*" and ":" not in word:
            raise bad_request("All values must have a key")
        return word == "*" or any(fnmatchcase(tag, key + word) for tag in self._tags)

    def _inside(self, key: str, *, bracket: bool = True) -> bool:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _malformed()
        holds = self.alternatives(key) if bracket else self._one(key)
        self._depth -= 1
        if bracket:
            if self.next() != ")":
                raise _malformed()
            self._at += 1
        return holds

    def _in_list(self, key: str) -> bool:
        wanted = self.next() == "IN"
        self._at += 1 if wanted else 2
        values = []
        while self.next() not in {"", ")"}:
            values.append(self.next())
            self._at += 1
        if self.next() != ")" or values[:1] != ["("]:
            raise _malformed()
        self._at += 1
        among = {f"{key}:{value}" for value in values if value not in {"(", ","}}
        return bool(among & self._tags) == wanted
