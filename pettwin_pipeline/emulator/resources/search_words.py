"""The search language of events (and logs): words, `key:value`, wildcards, AND, OR, NOT, brackets.

Pure. Source: https://docs.datadoghq.com/events/explorer/searching/ and .../logs/.../search_syntax/.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from pettwin_pipeline.emulator.refusals import bad_request

_WORD: Final = re.compile(
    r'\s*(?:([()])|(-(?=\S))|((?:@?[\w./-]+:)?(?:"(?:\\.|[^"\\])*"|\[[^\]]*\]|\((?=[^()]*\))[^()]*\)'
    r'|(?:\\.|[^\s()"\\])+)))'
)
_RANGE: Final = re.compile(r"\[\s*(\S+)\s+TO\s+(\S+)\s*\]")
_MOST_WORDS: Final = 500
Test = Callable[["Record"], bool]


@dataclass(frozen=True, slots=True)
class Record:
    """What is searched."""

    text: str
    tags: frozenset[str]
    """`key:value` or bare, lower case."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Reserved fields: source, host, status, priority, service, ..."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What `@a.b` reaches."""


def parse_search(query: str) -> Test:
    """A test from a query; an empty one, or `*`, finds everything.

    Raises:
        Refusal: 400, it is no query.
    """
    reader = _Reader(_words(query))
    test = reader.alternatives()
    if reader.left():
        raise bad_request(f"Query parsing error: unexpected {reader.left()!r}")
    return test


def _words(query: str) -> list[str]:
    found: list[str] = []
    at, text = 0, query.rstrip()
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None or len(found) > _MOST_WORDS:
            raise bad_request(f"Query parsing error at position {at}")
        found.append(match[1] or match[2] or match[3])
        at = match.end()
    return found


class _Reader:
    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._at = 0
        self._depth = 0

    def left(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def alternatives(self) -> Test:
        tests = [self._all()]
        while self.left() == "OR":
            self._at += 1
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda record: any(test(record) for test in tests)

    def _all(self) -> Test:
        tests: list[Test] = []
        while self.left() not in {"", ")", "OR"}:
            if self.left() == "AND":
                self._at += 1
                continue
            tests.append(self._one())
        return lambda record: all(test(record) for test in tests)

    def _one(self) -> Test:
        word = self.left()
        self._at += 1
        self._depth += 1
        if self._depth > _MOST_WORDS:
            raise bad_request("Query parsing error: too many brackets")
        if word in {"NOT", "-"}:
            test = self._one()
            return lambda record: not test(record)
        if word == "(":
            test = self.alternatives()
            if self.left() != ")":
                raise bad_request("Query parsing error: a bracket is not closed")
            self._at += 1
            return test
        return _test_of(word)


def _test_of(word: str) -> Test:
    head, colon, value = word.partition(":")
    if word.startswith('"') or not colon:
        return _text_test(word)
    if value.startswith("(") and value.endswith(")"):
        parts = [part for part in value[1:-1].split() if part not in {"OR", "AND"}]
        tests = [_test_of(f"{head}:{part}") for part in parts]
        return lambda record: any(test(record) for test in tests)
    return _field_test(head, value)


def _plain(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return re.sub(r"\\(.)", r"\1", text[1:-1] if quoted else text).lower()


def _text_test(word: str) -> Test:
    wanted = _plain(word)
    if wanted == "*":
        return lambda record: True  # noqa: ARG005 - the shape of a test
    if "*" in wanted or "?" in wanted:
        return lambda record: any(
            fnmatchcase(part, wanted) for part in re.split(r"[^\w@.:-]+", record.text.lower())
        )
    return lambda record: wanted in record.text.lower() or wanted in record.tags


def _field_test(name: str, value: str) -> Test:
    matches = _value_test(value)

    def test(record: Record) -> bool:
        if name.startswith("@"):
            found = _reach(record.attributes, name[1:].split("."))
            return any(matches(str(one).lower()) for one in found)
        if name.lower() == "tags":
            return any(matches(tag) for tag in record.tags)
        fact = record.facts.get(name.lower())
        if fact is not None and matches(fact.lower()):
            return True
        prefix = f"{name.lower()}:"
        return any(
            matches(tag.removeprefix(prefix)) for tag in record.tags if tag.startswith(prefix)
        )

    return test


def _value_test(value: str) -> Callable[[str], bool]:
    bounds = _RANGE.fullmatch(value)
    if bounds:
        return lambda text: _compares(text, ">=", bounds[1]) and _compares(text, "<=", bounds[2])
    for sign in (">=", "<=", ">", "<"):
        if value.startswith(sign):
            return lambda text: _compares(text, sign, value[len(sign) :])
    wanted = _plain(value)
    if "*" in wanted or "?" in wanted:
        return lambda text: fnmatchcase(text, wanted)
    return lambda text: text == wanted


def _compares(text: str, sign: str, bound: str) -> bool:
    if bound == "*":
        return True
    try:
        left, right = float(text), float(bound)
    except ValueError:
        return False
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[sign]


def _reach(value: Any, path: list[str]) -> list[Any]:
    if not path:
        return value if isinstance(value, list) else [value]
    if not isinstance(value, Mapping):
        return []
    whole = ".".join(path)
    if whole in value:
        return _reach(value[whole], [])
    return _reach(value[path[0]], path[1:]) if path[0] in value else []
