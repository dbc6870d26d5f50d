"""Which series a scope takes, and template variables put into one.

Tags are compared as they are stored: lower case, with `_` for what is not allowed. `*` stands for
any characters, anywhere in a value. A template variable that nobody put in takes everything.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, cast

from pettwin_pipeline.datadog_protocol import identifiers
from pettwin_pipeline.datadog_protocol.syntax import (
    EVERYTHING,
    Argument,
    Binary,
    Both,
    Call,
    Either,
    Expression,
    In,
    Listed,
    MetricQuery,
    Negated,
    Not,
    Scope,
    Tag,
)
from pettwin_pipeline.datadog_protocol.wildcards import wildcard

Matcher: TypeAlias = Callable[[Collection[str]], bool]

_VARIABLE: Final = re.compile(r"\$(?:([\w\-.]+?)\.value|([\w\-.]+))")
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Variable:
    """What a template variable stands for.

    Args:
        prefix: the tag key; None for a variable of whole tags.
        values: chosen; `*` or none is everything.
    """

    prefix: str | None
    values: tuple[str, ...]

    @property
    def is_everything(self) -> bool:
        """Whether it leaves nothing out."""
        return not self.values or _ANY in self.values


def matcher(scope: Scope) -> Matcher:
    """A function that says of a series' tags whether the scope takes them."""
    match scope:
        case Tag():
            return _tag_matcher(scope)
        case In(key=key, values=values, negated=negated):
            found = _any_of([_pattern_matcher(f"{key}:{value}") for value in values])
            return _none_of(found) if negated else found
        case Not(part=Tag() as tag) if tag.is_variable:
            return lambda _: True
        case Not(part=part):
            return _none_of(matcher(part))
        case Listed(parts=parts) | Both(parts=parts):
            return _all_of([matcher(part) for part in parts])
        case Either(parts=parts):
            return _any_of([matcher(part) for part in parts])


def _tag_matcher(tag: Tag) -> Matcher:
    if tag.text == _ANY or tag.is_variable:
        return lambda _: True
    return _pattern_matcher(tag.text)


def _pattern_matcher(text: str) -> Matcher:
    stored = _ANY.join(identifiers.tag(part) for part in text.split(_ANY))
    if _ANY not in stored:
        return lambda tags: stored in tags
    matches = wildcard(stored)
    return lambda tags: any(matches(tag) for tag in tags)


def _none_of(found: Matcher) -> Matcher:
    return lambda tags: not found(tags)


def _all_of(each: Sequence[Matcher]) -> Matcher:
    return lambda tags: all(one(tags) for one in each)


def _any_of(each: Sequence[Matcher]) -> Matcher:
    return lambda tags: any(one(tags) for one in each)


def with_variables(expression: Expression, variables: Mapping[str, Variable]) -> Expression:
    """The expression with every template variable that is known put in."""
    return cast("Expression", _argument(expression, variables))


def _argument(value: Argument, variables: Mapping[str, Variable]) -> Argument:
    match value:
        case MetricQuery(scope=scope, by=by):
            keys = tuple(key for text in by for key in _keys(text, variables))
            return replace(value, scope=_scope(scope, variables), by=keys)
        case Call(arguments=arguments):
            return replace(value, arguments=tuple(_argument(one, variables) for one in arguments))
        case Binary(left=left, right=right):
            return replace(
                value,
                left=cast("Expression", _argument(left, variables)),
                right=cast("Expression", _argument(right, variables)),
            )
        case Negated(operand=operand):
            return replace(value, operand=cast("Expression", _argument(operand, variables)))
        case _:
            return value


def _keys(text: str, variables: Mapping[str, Variable]) -> tuple[str, ...]:
    variable = variables.get(text.removeprefix("$")) if text.startswith("$") else None
    return (text,) if variable is None else variable.values


def _scope(scope: Scope, variables: Mapping[str, Variable]) -> Scope:
    match scope:
        case Tag():
            return _put_in(scope, variables)
        case In(key=key, values=values):
            return _put_in_values(scope, key, values, variables)
        case Not(part=part):
            inside = _scope(part, variables)
            # a variable that is everything leaves nothing out, excluded or not
            return EVERYTHING if inside == EVERYTHING else Not(cast("Any", inside), at=scope.at)
        case Listed(parts=parts):
            return Both(_parts(parts, variables), at=scope.at)
        case Both(parts=parts) | Either(parts=parts):
            return replace(scope, parts=_parts(parts, variables))


def _parts(parts: Sequence[Scope], variables: Mapping[str, Variable]) -> tuple[Any, ...]:
    return tuple(_scope(part, variables) for part in parts)


def _put_in(tag: Tag, variables: Mapping[str, Variable]) -> Scope:
    match = _VARIABLE.search(tag.text)
    variable = variables.get(match[1] or match[2]) if match else None
    if match is None or variable is None:
        return tag
    if variable.is_everything:
        return EVERYTHING
    whole = match[0] == tag.text and match[1] is None
    prefix = f"{variable.prefix}:" if whole and variable.prefix else ""
    head, tail = tag.text[: match.start()], tag.text[match.end() :]
    tags = [Tag(f"{head}{prefix}{value}{tail}", at=tag.at) for value in variable.values]
    return tags[0] if len(tags) == 1 else Either(tuple(tags), at=tag.at)


def _put_in_values(
    scope: In, key: str, values: tuple[str, ...], variables: Mapping[str, Variable]
) -> Scope:
    found: list[str] = []
    for value in values:
        match = _VARIABLE.fullmatch(value)
        variable = variables.get(match[1] or match[2]) if match else None
        found += (value,) if variable is None else (variable.values or (_ANY,))
    return In(key, tuple(found), scope.negated, at=scope.at)
