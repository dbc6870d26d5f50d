"""The parser's hands for monitor queries: windows, comparisons, chains of steps, composites.

What a kind of monitor may say beyond its shape is in `monitor_rules`.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, cast

from lark import Token

from pettwin_pipeline.datadog_protocol import monitor_rules
from pettwin_pipeline.datadog_protocol.building import (
    MOST_LEVELS,
    Children,
    ExpressionBuilder,
    column_of,
    fail,
    unquoted,
)
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    AllOf,
    AnyOf,
    Change,
    CheckAlert,
    Combination,
    Comparison,
    Composite,
    MetricAlert,
    Monitor,
    Step,
    Unless,
    Window,
)
from pettwin_pipeline.datadog_protocol.syntax import Comparator, Expression, Number, Text

_CHECK: Final = re.compile(r"[\w.\-]+(?:[ :/]+[\w.\-]+)*")
_MOST_MONITORS: Final = 10
_CHANGES: Final = ("change", "pct_change")


Chained: TypeAlias = tuple[Token, Token, list[tuple[int, Step]], Comparison]
"""Head, quoted query, steps with their columns, comparison."""

Levelled: TypeAlias = tuple[int, Combination]
"""How many levels are nested in it, and the combination."""


class MonitorBuilder(ExpressionBuilder):
    """Rules of the same names."""

    def comparison(self, children: Children) -> Comparison:
        """`> 120`, or `> threshold`."""
        comparator, limit = children
        value = limit.value if isinstance(limit, Number) else None
        return Comparison(cast("Comparator", str(comparator)), value)

    def dynamic(self, children: Children) -> str:
        """The word `threshold`: the options hold a query for it."""
        if children[0] != "threshold":
            fail(column_of(children[0]), "a number is compared with")
        return "threshold"

    def plain_alert(self, children: Children) -> MetricAlert:
        """`avg(last_5m):query > 1`."""
        aggregator, window, expression, comparison = children
        if aggregator in _CHANGES:
            fail(column_of(aggregator), f"{aggregator} takes avg(last_5m), last_30m for example")
        return self._metric_alert(aggregator, window, expression, comparison, None)

    def change_alert(self, children: Children) -> MetricAlert:
        """`change(avg(last_5m),last_30m):query > 1`."""
        kind, aggregator, window, shift, expression, comparison = children
        if kind not in _CHANGES:
            fail(column_of(kind), f"change or pct_change, not {kind}")
        monitor_rules.check_shift(str(shift), column_of(shift))
        change = Change(cast('Literal["change", "pct_change"]', str(kind)), str(shift))
        return self._metric_alert(aggregator, window, expression, comparison, change)

    def _metric_alert(
        self,
        aggregator: Token,
        window: Token,
        expression: Expression,
        comparison: Comparison,
        change: Change | None,
    ) -> MetricAlert:
        monitor_rules.check_aggregator(str(aggregator), column_of(aggregator))
        monitor_rules.check_window(str(window), column_of(window))
        self.metric([expression])
        made = MetricAlert(str(aggregator), Window(str(window)), expression, comparison, change)
        monitor_rules.check_metric_alert(made, column_of(aggregator), column_of(window))
        return made

    def step(self, children: Children) -> tuple[int, Step]:
        """`.name(arguments)` with the column of the name."""
        token, *given = children
        arguments: list[Text | float] = []
        keywords: list[tuple[str, str | float]] = []
        for one in given:
            match one:
                case Text():
                    arguments.append(one)
                case Number(value=value):
                    arguments.append(value)
                case (name, value):
                    keywords.append((str(name), value.value))
        name = token.lstrip(". \t\n")
        return column_of(token), Step(name, tuple(arguments), tuple(keywords))

    def word(self, children: Children) -> Text:
        """A word without quotes among the arguments of a step."""
        return Text(str(children[0]), quoted=False, at=column_of(children[0]))

    def service_check(self, children: Children) -> CheckAlert:
        """`"check".over(...).by(...).last(N).count_by_status()`."""
        check, *steps = children
        name = unquoted(check)
        if not _CHECK.fullmatch(name):
            fail(column_of(check), "a check has a name of letters, digits, and _ . - between them")
        monitor_rules.check_steps("service check", steps)
        return CheckAlert(name, tuple(step for _, step in steps))

    def chain_alert(self, children: Children) -> Chained:
        """`source("query").step(...).step(...) > 1`; `parsing` knows which kind is wanted."""
        head, query, *steps, comparison = children
        return head, query, steps, comparison

    def monitor(self, children: Children) -> Levelled:
        """An id."""
        return 1, Monitor(int(children[0]))

    def unless(self, children: Children) -> Levelled:
        """`!a`."""
        level, part = children[1]
        return level + 1, Unless(part)

    def all_of(self, children: Children) -> Levelled:
        """`a && b`."""
        return _level_above(children), AllOf(tuple(part for _, part in children))

    def any_of(self, children: Children) -> Levelled:
        """`a || b`."""
        return _level_above(children), AnyOf(tuple(part for _, part in children))

    def composite(self, children: Children) -> Composite:
        """At least two monitors, at most ten."""
        level, combination = children[0]
        if level > MOST_LEVELS:
            fail(1, f"more than {MOST_LEVELS} levels are nested in it")
        made = Composite(combination)
        count = len(made.monitor_ids)
        if count > _MOST_MONITORS:
            fail(1, f"a composite names at most {_MOST_MONITORS} monitors, not {count}")
        if isinstance(combination, Monitor):
            fail(1, "a composite combines monitors: 123 && 456")
        return made


def _level_above(children: Sequence[Levelled]) -> int:
    return 1 + max(level for level, _ in children)
