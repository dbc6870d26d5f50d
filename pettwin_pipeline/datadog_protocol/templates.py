"""The template language of notifications: `{{x}}`, `{{{x}}}`, `{{#is_alert}}`, `{{else}}`.

A template is read once into blocks and rendered with a scope that knows variables and conditions.
What the scope does not know is empty, as in Datadog; `problems` lists it, for who writes templates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Protocol, TypeAlias

_RAW: Final = r"\{\{\{\{\s*raw\s*\}\}\}\}(?P<raw>.*?)\{\{\{\{\s*/raw\s*\}\}\}\}"
_MARK: Final = re.compile(
    rf"{_RAW}|\{{\{{\{{\s*(?P<plain>[^{{}}]+?)\s*\}}\}}\}}|\{{\{{\s*(?P<escaped>[^{{}}]+?)\s*\}}\}}",
    re.DOTALL,
)
_WORD: Final = re.compile(r"""\[[^\]]*\](?:\.\w+)*|"[^"]*"|'[^']*'|[^\s"']+""")

_MOST_NESTED: Final = 50

Block: TypeAlias = "str | Value | Condition"


@dataclass(frozen=True, slots=True)
class Value:
    """`{{words}}`; the first word is a variable or a function, the others its arguments."""

    words: tuple[str, ...]
    escaped: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """`{{#words}}then{{else}}otherwise{{/words}}`; with `^` the other way round."""

    words: tuple[str, ...]
    negated: bool
    then: "tuple[Block, ...]"
    otherwise: "tuple[Block, ...]"


class Scope(Protocol):
    """What a template is rendered with."""

    def value(self, words: Sequence[str]) -> str | None:
        """Of a variable or a function with its arguments; None where it is not known."""
        ...

    def holds(self, words: Sequence[str]) -> bool | None:
        """Whether a condition holds; None where it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Template:
    """A template that was read.

    Args:
        blocks: in order.
        problems: what is wrong with its blocks: not closed, closed twice.
    """

    blocks: tuple[Block, ...]
    problems: tuple[str, ...] = ()


def read_template(text: str) -> Template:
    """Never an error: what cannot be read is in `problems`; a block left open ends last."""
    return _Reader(text).read()


def render_template(template: Template, scope: Scope) -> str:
    """The text; what the scope does not know is empty."""
    return _rendered(template.blocks, scope)


def unknown_words(template: Template, scope: Scope) -> tuple[str, ...]:
    """Variables and conditions that the scope does not know, each once, in order."""
    found: dict[str, None] = {}
    todo = list(template.blocks)
    while todo:
        block = todo.pop(0)
        match block:
            case Value(words=words) if scope.value(words) is None:
                found[" ".join(words)] = None
            case Condition(words=words, then=then, otherwise=otherwise):
                if scope.holds(words) is None:
                    found[" ".join(words)] = None
                todo = [*then, *otherwise, *todo]
            case _:
                pass
    return tuple(found)


def _rendered(blocks: Sequence[Block], scope: Scope) -> str:
    parts: list[str] = []
    for block in blocks:
        match block:
            case str():
                parts.append(block)
            case Value(words=words, escaped=escaped):
                value = scope.value(words) or ""
                parts.append(escape(value, quote=True) if escaped else value)
            case Condition(words=words, negated=negated, then=then, otherwise=otherwise):
                holds = bool(scope.holds(words)) != negated
                parts.append(_rendered(then if holds else otherwise, scope))
    return "".join(parts)


class _Open:
    """A condition that is not closed yet."""

    def __init__(self, words: tuple[str, ...], *, negated: bool) -> None:
        self.words = words
        self.negated = negated
        self.then: list[Block] = []
        self.otherwise: list[Block] = []
        self.in_else = False

    @property
    def blocks(self) -> list[Block]:
        """Where what follows belongs."""
        return self.otherwise if self.in_else else self.then

    def closed(self) -> Condition:
        return Condition(self.words, self.negated, tuple(self.then), tuple(self.otherwise))


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.top: list[Block] = []
        self.open: list[_Open] = []
        self.problems: list[str] = []

    def read(self) -> Template:
        place = 0
        for mark in _MARK.finditer(self.text):
            self.add(self.text[place : mark.start()])
            place = mark.end()
            if mark["raw"] is not None:
                self.add(mark["raw"])
            elif mark["plain"] is not None:
                self.add(Value(_words(mark["plain"]), escaped=False))
            else:
                self.marked(mark["escaped"])
        self.add(self.text[place:])
        while self.open:
            left = self.open.pop()
            self.problems.append(f"{{{{#{left.words[0]}}}}} is not closed")
            self.add(left.closed())
        return Template(tuple(self.top), tuple(self.problems))

    def add(self, block: Block) -> None:
        if block != "":
            (self.open[-1].blocks if self.open else self.top).append(block)

    def marked(self, inside: str) -> None:
        if inside[0] in "#^" and len(self.open) == _MOST_NESTED:
            self.problems.append(f"more than {_MOST_NESTED} blocks are nested")
        elif inside[0] in "#^":
            self.open.append(_Open(_words(inside[1:]) or ("",), negated=inside[0] == "^"))
        elif inside[0] == "/":
            self.close(inside[1:].strip())
        elif inside == "else":
            self.turn()
        else:
            self.add(Value(_words(inside), escaped=True))

    def turn(self) -> None:
        if not self.open or self.open[-1].in_else:
            self.problems.append("{{else}} without a block")
        else:
            self.open[-1].in_else = True

    def close(self, name: str) -> None:
        if not self.open or self.open[-1].words[0] != name:
            self.problems.append(f"{{{{/{name}}}}} closes nothing")
        else:
            self.add(self.open.pop().closed())


def _words(inside: str) -> tuple[str, ...]:
    return tuple(word.strip("\"'") for word in _WORD.findall(inside))
