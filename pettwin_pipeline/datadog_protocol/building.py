"""The parser's hands for expressions and scopes: each rule of `query.lark` becomes a value here.

What the grammar cannot say is checked on the way: aggregators, modifiers, functions, and that the
two ways to write a scope are not mixed. Every problem is a `QuerySyntaxError` with its column.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeAlias, cast

from lark import Token, Transformer

from pettwin_pipeline.datadog_protocol.functions import call_problem
from pettwin_pipeline.datadog_protocol.syntax import (
    Argument,
    Binary,
    Both,
    Call,
    Comparator,
    Either,
    Expression,
    In,
    Keys,
    Listed,
    MetricQuery,
    Modifier,
    Named,
    Negated,
    Not,
    Number,
    Operator,
    Scope,
    Tag,
    Text,
    Threshold,
    is_space_aggregator,
    levels,
    metric_queries,
    walk,
)
from pettwin_pipeline.errors import QuerySyntaxError

Children: TypeAlias = list[Any]
Keyword: TypeAlias = tuple[Token, Argument]

_HEAD: Final = re.compile(
    r"(?:(?P<counted>count\s*\(\s*v\s*:\s*v\s*(?P<op>[<>=!]+)\s*(?P<limit>-?[\d.]+)\s*\)\s*:\s*)"
    r"|(?P<aggregator>[A-Za-z][\w.]*?)\s*:\s*)?(?P<metric>[A-Za-z_]\w*(?:\.\w+)*)"
)
_ESCAPED: Final = re.compile(r"""\\(["'\\])""")
_INTERVAL: Final = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)
_LONGEST_METRIC: Final = 200

MOST_LEVELS: Final = 128
"""Of nested functions, terms and scopes."""
ROLLUPS: Final = frozenset({"avg", "sum", "min", "max", "count", "last"})
CALENDAR: Final = frozenset({"daily", "weekly", "monthly", "quarterly", "yearly"})
FILLS: Final = frozenset({"linear", "last", "zero", "null"})


def fail(column: int, problem: str) -> NoReturn:
    """Refuse the query."""
    raise QuerySyntaxError(column, problem)


def column_of(token: Token) -> int:
    """From 1, in characters."""
    return (token.start_pos or 0) + 1


def unquoted(token: str) -> str:
    """What stands between the quotes."""
    return _ESCAPED.sub(r"\1", token[1:-1])


def name_problem(metric: str) -> str | None:
    """What is wrong with the name of a metric; None where it is one."""
    if not metric[0].isalpha() or not metric.isascii():
        return "a metric's name begins with a letter"
    if len(metric) > _LONGEST_METRIC:
        return f"a metric's name has at most {_LONGEST_METRIC} characters"
    return None


class ExpressionBuilder(Transformer[Token, Any]):
    """Rules of the same names."""

    def metric(self, expressions: Sequence[Expression]) -> tuple[Expression, ...]:
        """One query, or several with commas between them."""
        for one in expressions:
            check_depth(one)
            _refuse_names(one)
        if not any(metric_queries(one) for one in expressions):
            fail(1, "there is no metric in it")
        return tuple(expressions)

    def formula(self, children: Children) -> Expression:
        """Names stand for queries."""
        expression = cast("Expression", children[0])
        check_depth(expression)
        for query in metric_queries(expression):
            fail(query.at, "a formula names its queries and holds none itself")
        return expression

    def binary(self, children: Children) -> Binary:
        """`left operator right`."""
        left, operator, right = children
        return Binary(cast("Operator", str(operator)), left, right, at=left.at)

    def negated(self, children: Children) -> Expression:
        """A constant takes the sign."""
        sign, operand = children
        if isinstance(operand, Number):
            return Number(-operand.value, at=column_of(sign))
        return Negated(operand, at=column_of(sign))

    def negated_number(self, children: Children) -> Number:
        """A negative constant where nothing else may stand."""
        sign, digits = children
        return Number(-self.number([digits]).value, at=column_of(sign))

    def unchanged(self, children: Children) -> Expression:
        """`+query` is the query."""
        return cast("Expression", children[1])

    def keys(self, children: Children) -> Keys:
        """`{host,env}` among the arguments of a function."""
        return Keys(tuple(str(key) for key in children), at=column_of(children[0]))

    def number(self, children: Children) -> Number:
        """Digits."""
        value = float(children[0])
        if not math.isfinite(value):
            fail(column_of(children[0]), "that number is too large")
        return Number(value, at=column_of(children[0]))

    def text(self, children: Children) -> Text:
        """A quoted text."""
        return Text(unquoted(children[0]), at=column_of(children[0]))

    def named(self, children: Children) -> Named:
        """A word without braces or parentheses behind it."""
        return Named(str(children[0]), at=column_of(children[0]))

    def keyword(self, children: Children) -> Keyword:
        """`name=value`."""
        return children[0], children[1]

    def call(self, children: Children) -> Call:
        """`function(arguments)`, checked against the table of functions."""
        function, *given = children
        arguments: list[Argument] = []
        keywords: list[tuple[str, Argument]] = []
        for one in given:
            if isinstance(one, tuple):
                keywords.append((str(one[0]), one[1]))
            elif keywords:
                fail(one.at, "a plain argument follows a keyword")
            else:
                arguments.append(one)
        made = Call(str(function), tuple(arguments), tuple(keywords), at=column_of(function))
        problem = call_problem(made) or _group_problem(made)
        if problem is not None:
            fail(*problem)
        return made

    def metric_query(self, children: Children) -> MetricQuery:
        """Aggregator, metric, scope, group-by, modifiers."""
        head, scope, *rest = children
        match = _HEAD.fullmatch(head)
        at = column_of(head)
        if match is None:
            fail(at, "that is no aggregator and metric")
        aggregator, metric = match["aggregator"], match["metric"]
        if aggregator is not None and not is_space_aggregator(aggregator):
            fail(at, f"there is no aggregator {aggregator}")
        if problem := name_problem(metric):
            fail(at + match.start("metric"), problem)
        counted = None
        if match["counted"] is not None:
            aggregator = "count"
            limit = float(match["limit"])
            if not math.isfinite(limit):
                fail(at, "that number is too large")
            counted = Threshold(cast("Comparator", match["op"]), limit)
        by: tuple[str, ...] = ()
        if rest and isinstance(rest[0], tuple):
            by = rest.pop(0)
        return MetricQuery(metric, scope, aggregator, by, tuple(rest), counted, at=at)

    def by(self, children: Children) -> tuple[str, ...]:
        """The keys of a group-by."""
        return tuple(str(key) for key in children[1:])

    def modifier(self, children: Children) -> Modifier:
        """`.name(arguments)`."""
        token, *arguments = children
        name = token.lstrip(". \t\n")
        known = _MODIFIERS.get(name)
        if known is None:
            fail(column_of(token), f"there is no modifier .{name}()")
        if problem := known([word for _, word in arguments]):
            fail(column_of(token), problem)
        return Modifier(name, tuple(_word(word) for _, word in arguments), at=column_of(token))

    def modifier_argument(self, children: Children) -> tuple[int, str]:
        """A word, a number or a quoted word."""
        token = children[0]
        word = unquoted(token) if token.type == "STRING" else str(token)
        return column_of(token), word

    def scope(self, parts: list[Scope]) -> Scope:
        """What is between the braces; symbolic and boolean operators do not mix."""
        if len(parts) == 1:
            return _alone(parts[0])
        for part in parts:
            if (operator := _boolean(part)) is not None:
                fail(operator, _MIXED)
        return Listed(cast("tuple[Tag | In | Not, ...]", tuple(_unmark(part) for part in parts)))

    def either(self, children: Children) -> Scope:
        """`a OR b`."""
        parts = tuple(_word_operand(part) for part in children[::2])
        return Either(parts, at=column_of(children[1]))

    def both(self, children: Children) -> Scope:
        """`a AND b`."""
        parts = tuple(_word_operand(part) for part in children[::2])
        return Both(parts, at=column_of(children[1]))

    def excluded_word(self, children: Children) -> Not:
        """`NOT a`."""
        return Not(_word_operand(children[1]), at=column_of(children[0]))

    def excluded_mark(self, children: Children) -> "_Marked":
        """`!a`."""
        return _Marked(_tag(children[1]), column_of(children[0]))

    def tag(self, children: Children) -> Tag:
        """A tag, a bare one, `*` or a template variable."""
        return _tag(children[0])

    def is_in(self, children: Children) -> In:
        """`key IN (values)`."""
        return _membership(children[0], children[2:], negated=False)

    def is_not_in(self, children: Children) -> In:
        """`key NOT IN (values)`."""
        return _membership(children[0], children[3:], negated=True)


_MIXED: Final = "`,` and `!` do not mix with AND, OR and NOT in one scope"


class _Marked:
    """`!tag` until it is known what stands around it."""

    def __init__(self, tag: Tag, at: int) -> None:
        self.tag = tag
        self.at = at


def _alone(part: Any) -> Scope:
    if isinstance(part, _Marked):
        return Listed((_unmark(part),))
    return cast("Scope", part)


def _unmark(part: Any) -> Any:
    return Not(part.tag, at=part.at) if isinstance(part, _Marked) else part


def _word_operand(part: Any) -> Any:
    if isinstance(part, _Marked):
        fail(part.at, _MIXED)
    return part


def _boolean(part: Any) -> int | None:
    return part.at if isinstance(part, Both | Either | Not) else None


def _tag(token: Token) -> Tag:
    return Tag(_plain_tag(token), at=column_of(token))


def _plain_tag(token: str) -> str:
    """Without quotes, and without the space that may follow the first colon."""
    if token[0] in "\"'":
        return unquoted(token)
    key, colon, value = token.partition(":")
    value = value.strip()
    return key + colon + (unquoted(value) if value[:1] in {'"', "'"} else value)


def _membership(key: Token, values: list[Token], *, negated: bool) -> In:
    if ":" in key or key[0] in "\"'":
        fail(column_of(key), "a plain tag key without a value stands before IN")
    plain = tuple(unquoted(one) if one[0] in "\"'" else str(one) for one in values)
    return In(str(key), plain, negated, at=column_of(key))


def check_depth(expression: Expression) -> None:
    """Refuse what nobody wrote by hand: whoever walks over it may call itself."""
    if levels(expression) > MOST_LEVELS:
        fail(1, f"more than {MOST_LEVELS} levels are nested in it")


def _refuse_names(expression: Expression) -> None:
    for one in walk(expression):
        if isinstance(one, Named):
            fail(one.at, f"{one.name} has no scope: a metric is followed by {{...}}")


def _group_problem(call: Call) -> tuple[int, str] | None:
    if call.function != "outliers":
        return None
    queries = metric_queries(call.arguments[0])
    if queries and not any(query.by for query in queries):
        return queries[0].at, "outliers compares groups: the query needs by {...}"
    return None


def _word(word: str) -> str | float:
    return float(word) if re.fullmatch(r"\d+(\.\d+)?", word) else word


def _no_arguments(arguments: list[str]) -> str | None:
    return "this modifier takes no arguments" if arguments else None


def _rollup_problem(arguments: list[str]) -> str | None:
    if not arguments:
        return ".rollup() takes an aggregator, a number of seconds, or both"
    head, *rest = arguments
    if _INTERVAL.fullmatch(head):
        return ".rollup(): the aggregator stands before the seconds" if rest else None
    if head not in ROLLUPS:
        return f".rollup() knows no aggregator {head}: {', '.join(sorted(ROLLUPS))}"
    return _interval_problem(rest) if rest else None


def _interval_problem(interval: list[str]) -> str | None:
    if interval[0] in CALENDAR:
        too_many = len(interval) > _CALENDAR_ARGUMENTS
        return ".rollup() has too many arguments" if too_many else None
    if len(interval) > 1 or not _INTERVAL.fullmatch(interval[0]):
        return ".rollup() takes a whole number of seconds after the aggregator"
    return None


_CALENDAR_ARGUMENTS: Final = 3


def _fill_problem(arguments: list[str]) -> str | None:
    if not arguments:
        return ".fill() takes linear, last, zero or null"
    head, *rest = arguments
    if len(rest) > 1:
        return ".fill() takes a method and a limit"
    seconds = _SECONDS.fullmatch(head)
    if not seconds and head not in FILLS:
        return f".fill() knows no method {head}: linear, last, zero, null"
    if rest and (seconds or not _SECONDS.fullmatch(rest[0])):
        return ".fill() takes a method, then its limit in seconds"
    return None


_MODIFIERS: Final[dict[str, Callable[[list[str]], str | None]]] = {
    "as_count": _no_arguments,
    "as_rate": _no_arguments,
    "weighted": _no_arguments,
    "rollup": _rollup_problem,
    "fill": _fill_problem,
}
