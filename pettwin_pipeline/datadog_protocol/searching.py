"""Search queries over logs and events: what a query finds, after Datadog's log search syntax.

Terms with a space between are all wanted; AND, OR, NOT and `-` combine; parentheses group terms and
values. `key:value` looks at tags and at the fields that every document has, `@path:value` at
attributes, with wildcards, comparisons and ranges; other words at the text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pettwin_pipeline.datadog_protocol.searches import search_problem
from pettwin_pipeline.datadog_protocol.wildcards import wildcard
from pettwin_pipeline.errors import QuerySyntaxError

Search: TypeAlias = Callable[["Document"], bool]

_WORD: Final = re.compile(
    r"""\s*(?P<word>
        (?P<minus>-)?
        (?P<key>@?[\w.\-/]+(?:\\.[\w.\-/]*)*):(?P<range>[\[{]\s*\S+\s+TO\s+\S+?\s*[\]}])
      | [()]
      | (?:[^\s()"\\]|\\.|"(?:[^"\\]|\\.)*")+
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_RANGE: Final = re.compile(r"([\[{])\s*(\S+)\s+TO\s+(\S+?)\s*([\]}])")
_COMPARED: Final = re.compile(r"(>=|<=|>|<)(-?[\d.]+)")
_MOST_NESTED: Final = 50


@dataclass(frozen=True, slots=True)
class Document:
    """A log or an event.

    Args:
        text: its message; of an event title and text.
        tags: `key:value`, as they are stored.
        fields: what every document has: source, service, host, status, and so on.
        attributes: nested, as they were sent.
    """

    text: str
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def values(self, key: str) -> list[Any]:
        """Of `@path` the attribute's, of another key those of its field and its tags."""
        if key.startswith("@"):
            return _at_path(self.attributes, key[1:])
        begins = f"{key.lower()}:"
        found: list[Any] = [tag[len(begins) :] for tag in self.tags if tag.startswith(begins)]
        own = self.fields.get(key.lower())
        return found if own is None else [own, *found]


def _at_path(attributes: Mapping[str, Any], path: str) -> list[Any]:
    """A dot goes one deeper, or is part of a name; a list gives all of its values."""
    if path in attributes:
        value = attributes[path]
        return list(value) if isinstance(value, list) else [value]
    for place in (index for index, letter in enumerate(path) if letter == "."):
        inner = attributes.get(path[:place])
        if isinstance(inner, Mapping) and (found := _at_path(inner, path[place + 1 :])):
            return found
    return []


def parse_search(query: str) -> Search:
    """A function that says whether the query finds a document; an empty one finds all.

    Raises:
        QuerySyntaxError: quotes or parentheses do not close, an operator has nothing beside it.
    """
    if problem := search_problem(query):
        raise QuerySyntaxError(problem[0] + 1, problem[1])
    return _Reader(query).read()


class _Reader:
    """Recursive descent over words: any < all < one."""

    def __init__(self, query: str) -> None:
        self.words = [match["word"] for match in _WORD.finditer(query)]
        self.place = 0
        self.depth = 0

    def read(self) -> Search:
        if not self.words:
            return lambda _: True
        return self.any_of("")

    def peek(self) -> str:
        return self.words[self.place] if self.place < len(self.words) else ""

    def take(self) -> str:
        word = self.peek()
        self.place += 1
        return word

    def any_of(self, key: str) -> Search:
        parts = [self.all_of(key)]
        while self.peek() == "OR":
            self.take()
            parts.append(self.all_of(key))
        return parts[0] if len(parts) == 1 else lambda one: any(part(one) for part in parts)

    def all_of(self, key: str) -> Search:
        parts = [self.one(key)]
        while self.peek() not in {"", "OR", ")"}:
            if self.peek() == "AND":
                self.take()
            parts.append(self.one(key))
        return parts[0] if len(parts) == 1 else lambda one: all(part(one) for part in parts)

    def one(self, key: str) -> Search:
        word = self.take()
        if word in {"NOT", "-"}:
            return _negated(self.one(key))
        if word == "(":
            return self.group(key)
        if word.startswith("-") and len(word) > 1:
            return _negated(self.term(word[1:], key))
        return self.term(word, key)

    def group(self, key: str) -> Search:
        self.depth += 1
        if self.depth > _MOST_NESTED:
            raise QuerySyntaxError(1, f"more than {_MOST_NESTED} parentheses are nested in it")
        inner = self.any_of(key)
        self.take()
        self.depth -= 1
        return inner

    def term(self, word: str, key: str) -> Search:
        if key:
            return _valued(key, word)
        name, value = _split(word)
        if name and not value and self.peek() == "(":
            self.take()
            return self.group(name)
        return _valued(name, value) if name else _worded(word)


def _split(word: str) -> tuple[str, str]:
    """Key and value at the first colon outside quotes; no key where there is none."""
    if word.startswith('"'):
        return "", word
    name, colon, value = word.partition(":")
    return (name, value) if colon and name else ("", word)


def _negated(found: Search) -> Search:
    return lambda one: not found(one)


def _plain(word: str) -> str:
    inner = word[1:-1] if len(word) > 1 and word[0] == word[-1] == '"' else word
    return _ESCAPED.sub(r"\1", inner)


def _pattern(word: str) -> Callable[[str], bool]:
    """Whether a whole text is the word: `*` any characters, `?` one, case aside."""
    if word.startswith('"'):
        exact = _plain(word).lower()
        return lambda text: text.lower() == exact
    matches = wildcard(word.lower(), questions=True)
    return lambda text: matches(text.lower())


def _worded(word: str) -> Search:
    """A word or a phrase of the text; `*` alone finds everything."""
    if word == "*":
        return lambda _: True
    if word.startswith('"'):
        phrase = _plain(word).lower()
        return lambda one: phrase in one.text.lower()
    matches = _pattern(word)
    return lambda one: any(matches(text) for text in _texts(one.text))


def _texts(text: str) -> Iterator[str]:
    """The words of a text, with and without the marks around them."""
    for word in text.split():
        yield word
        yield word.strip(".,;:!?()[]{}\"'")


def _valued(key: str, value: str) -> Search:
    if value == "*":
        return lambda one: bool(one.values(key))
    if match := _RANGE.fullmatch(value):
        return _ranged(key, match)
    if match := _COMPARED.fullmatch(value):
        return _compared(key, match[1], match[2])
    matches = _pattern(value)
    return lambda one: any(matches(_text(found)) for found in one.values(key))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _compared(key: str, comparator: str, limit: str) -> Search:
    bound = _number(limit)
    if bound is None:
        return lambda _: False
    holds: Mapping[str, Callable[[float], bool]] = {
        ">": lambda value: value > bound,
        ">=": lambda value: value >= bound,
        "<": lambda value: value < bound,
        "<=": lambda value: value <= bound,
    }
    return _where(key, holds[comparator])


def _ranged(key: str, match: re.Match[str]) -> Search:
    low, high = _number(match[2]), _number(match[3])
    with_low, with_high = match[1] == "[", match[4] == "]"

    def inside(value: float) -> bool:
        above = low is None or value > low or (with_low and value == low)
        below = high is None or value < high or (with_high and value == high)
        return above and below

    return _where(key, inside)


def _where(key: str, holds: Callable[[float], bool]) -> Search:
    def found(one: Document) -> bool:
        numbers = (_number(value) for value in one.values(key))
        return any(holds(number) for number in numbers if number is not None)

    return found


def first_value(document: Document, facet: str) -> str | None:
    """The value of a facet for a group-by, `@path` or a tag key; None where it has none."""
    values: Sequence[Any] = document.values(facet)
    return _text(values[0]) if values else None
