"""A metric query or a formula as values: made by the parser, printed, evaluated.

Every value is frozen, checked when built, and knows the column it came from (`at`, from 1; it does
not take part in equality). Knows no text: `parsing` and `rendering` do.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Operator: TypeAlias = Literal["+", "-", "*", "/"]
Comparator: TypeAlias = Literal["<", "<=", ">", ">=", "==", "!="]

COMPARATORS: Final[tuple[Comparator, ...]] = ("<", "<=", ">", ">=", "==", "!=")
PERCENTILE: Final = re.compile(r"p(\d{1,2}(?:\.\d{1,2})?|100)")
SPACE_AGGREGATORS: Final = frozenset({"avg", "sum", "min", "max", "count", "stddev"})
"""Besides percentiles. `count` and percentiles are for distributions."""


def _at() -> int:
    return field(default=0, compare=False, repr=False, kw_only=True)


def is_space_aggregator(name: str) -> bool:
    """Whether `name` may stand before a metric: avg, sum, p95, p99.9 and so on."""
    return name in SPACE_AGGREGATORS or PERCENTILE.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of a scope as written: `env:prod`, `host:web-*`, a bare one, `*`, or `$variable`."""

    text: str
    at: int = _at()

    @property
    def key(self) -> str | None:
        """What stands before the first colon, None in a bare tag."""
        key, colon, _ = self.text.partition(":")
        return key if colon else None

    @property
    def value(self) -> str:
        """What stands behind the first colon, or the bare tag."""
        key, colon, value = self.text.partition(":")
        return value if colon else key

    @property
    def is_variable(self) -> bool:
        """Whether a template variable has to be put in before it can be evaluated."""
        return "$" in self.text


@dataclass(frozen=True, slots=True)
class In:
    """`key IN (a, b)`, and with `negated` `key NOT IN (a, b)`."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Not:
    """`!tag` inside `Listed`, `NOT scope` elsewhere."""

    part: "Tag | In | Not | Both | Either"
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Both:
    """`a AND b AND c`."""

    parts: "tuple[Tag | In | Not | Both | Either, ...]"
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Either:
    """`a OR b OR c`."""

    parts: "tuple[Tag | In | Not | Both | Either, ...]"
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Listed:
    """`a,!b,c`: the symbolic form, all of which must hold. Two parts at least, or one `!tag`."""

    parts: "tuple[Tag | In | Not, ...]"
    at: int = _at()

    def __post_init__(self) -> None:
        if len(self.parts) == 1 and not isinstance(self.parts[0], Not):
            raise ValueError("one part that is not excluded stands for itself")


EVERYTHING: Final = Tag("*")


@dataclass(frozen=True, slots=True)
class Modifier:
    """`.rollup(avg, 60)`: its name and its arguments, words and numbers."""

    name: str
    arguments: tuple[str | float, ...] = ()
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Threshold:
    """`v: v<=2000` of a count over a distribution."""

    comparator: Comparator
    value: float


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """`p95:http.latency{env:prod} by {host}.rollup(max, 60)`.

    Args:
        metric: its name.
        scope: which series.
        aggregator: over space; None where it is left out, which means avg.
        by: tag keys, one series for each combination of their values.
        modifiers: in order.
        counted: of `count(v: v<=2000):metric{*}`; the aggregator is count then.
    """

    metric: str
    scope: "Scope" = EVERYTHING
    aggregator: str | None = None
    by: tuple[str, ...] = ()
    modifiers: tuple[Modifier, ...] = ()
    counted: Threshold | None = None
    at: int = _at()

    def modifier(self, name: str) -> Modifier | None:
        """The last modifier of this name: it is the one that holds."""
        return next((one for one in reversed(self.modifiers) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Named:
    """A query by its name, in a formula."""

    name: str
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Number:
    """A constant; a minus sign before it belongs to it."""

    value: float
    at: int = _at()

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError("a number of a query is finite")


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted argument, or a word among the steps of a monitor's query."""

    value: str
    quoted: bool = field(default=True, compare=False, repr=False, kw_only=True)
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Keys:
    """`{host,env}` as an argument: the keys that `sum(query, {env})` leaves; `*` is none."""

    keys: tuple[str, ...]
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Call:
    """`top(query, 10, 'mean', 'desc')`, with keywords as in `direction='above'`."""

    function: str
    arguments: "tuple[Argument, ...]"
    keywords: "tuple[tuple[str, Argument], ...]" = ()
    at: int = _at()

    def keyword(self, name: str) -> "Argument | None":
        """The value of a keyword, None where it is left out."""
        return dict(self.keywords).get(name)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left + right`; the operators associate to the left."""

    operator: Operator
    left: "Expression"
    right: "Expression"
    at: int = _at()


@dataclass(frozen=True, slots=True)
class Negated:
    """`-query`; a negative constant is a `Number`."""

    operand: "Expression"
    at: int = _at()

    def __post_init__(self) -> None:
        if isinstance(self.operand, Number):
            raise ValueError("a negative constant is a Number")  # noqa: TRY004 - a wrong value


Scope: TypeAlias = Tag | In | Not | Both | Either | Listed
Expression: TypeAlias = MetricQuery | Named | Number | Call | Binary | Negated
Argument: TypeAlias = Expression | Text | Keys


def below(  # noqa: PLR0911 - one a kind
    value: Argument | Scope,
) -> tuple[Argument | Scope, ...]:
    """What a value is directly made of, in order; scopes are below their query."""
    match value:
        case Call(arguments=arguments, keywords=keywords):
            return (*arguments, *(argument for _, argument in keywords))
        case Binary(left=left, right=right):
            return (left, right)
        case Negated(operand=operand):
            return (operand,)
        case MetricQuery(scope=scope):
            return (scope,)
        case Listed(parts=parts) | Both(parts=parts) | Either(parts=parts):
            return parts
        case Not(part=part):
            return (part,)
        case _:
            return ()


def walk(expression: Argument) -> list[Argument | Scope]:
    """The expression and everything below it, outermost first, from left to right."""
    found: list[Argument | Scope] = []
    todo: list[Argument | Scope] = [expression]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += reversed(below(one))
    return found


def levels(expression: Argument) -> int:
    """How deep it is nested: 1 for a constant."""
    deepest = 0
    row: list[Argument | Scope] = [expression]
    while row:
        deepest += 1
        row = [part for one in row for part in below(one)]
    return deepest


def metric_queries(expression: Argument) -> list[MetricQuery]:
    """The metric queries of an expression, in order."""
    return [one for one in walk(expression) if isinstance(one, MetricQuery)]
