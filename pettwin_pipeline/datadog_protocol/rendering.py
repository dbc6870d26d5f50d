"""The values of `syntax` and `monitor_syntax` back to text, which parses to the same value."""

import re
from collections.abc import Iterable
from typing import Final

from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    AllOf,
    AnyOf,
    CheckAlert,
    Combination,
    Comparison,
    Composite,
    FormulaAlert,
    MetricAlert,
    Monitor,
    MonitorQuery,
    NoQuery,
    SearchAlert,
    SloAlert,
    Step,
    Unless,
)
from pettwin_pipeline.datadog_protocol.syntax import (
    Argument,
    Binary,
    Both,
    Call,
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
    Scope,
    Tag,
    Text,
)

_PLAIN_TAG: Final = re.compile(
    r"""\$[\w.\-]+(?::[^\s,(){}!"'=<>|&;^`#$]*)?|[\w*./@][^\s,(){}!"'=<>|&;^`#]*"""
)
_PLAIN_KEY: Final = re.compile(r"[\w.\-/*@+%~?\\\[\]]+")
_PLAIN_VALUE: Final = re.compile(r"""[^\s,(){}!"'=<>|&;^`#]+""")
_PLAIN_WORD: Final = re.compile(r"[\w.]+")
_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "IN", "and", "or", "not", "in"})
SINGLE: Final = "'"
DOUBLE: Final = '"'
_EXACT_BELOW: Final = 1e15


def render(expression: Argument) -> str:  # noqa: PLR0911 - one a kind
    """One expression or argument of a function."""
    match expression:
        case MetricQuery():
            return _metric_query(expression)
        case Named(name=name):
            return name
        case Number(value=value):
            return render_number(value)
        case Text(value=value):
            return _quoted(value, SINGLE)
        case Keys(keys=keys):
            return f"{{{','.join(keys)}}}"
        case Call():
            return _call(expression)
        case Binary():
            return _binary(expression)
        case Negated(operand=operand):
            inner = render(operand)
            return f"-({inner})" if isinstance(operand, Binary) else f"-{inner}"


def render_metric(expressions: Iterable[Expression]) -> str:
    """Several queries, with commas between."""
    return ", ".join(render(one) for one in expressions)


def render_number(value: float) -> str:
    """Without a fraction where there is none."""
    if float(value).is_integer() and abs(value) < _EXACT_BELOW:
        return str(int(value))
    return repr(value)


def render_scope(scope: Scope) -> str:
    """What stands between the braces."""
    match scope:
        case Tag(text=text):
            return _tag(text)
        case Listed(parts=parts):
            return ",".join(_listed(part) for part in parts)
        case In(key=key, values=values, negated=negated):
            word = "NOT IN" if negated else "IN"
            return f"{key} {word} ({','.join(_value(one) for one in values)})"
        case Not(part=part):
            return f"NOT {_grouped(part)}"
        case Both(parts=parts):
            return " AND ".join(_grouped(part) for part in parts)
        case Either(parts=parts):
            return " OR ".join(
                _grouped(part) if isinstance(part, Either) else render_scope(part) for part in parts
            )


def render_modifier(modifier: Modifier) -> str:
    """`.rollup(avg, 60)`."""
    return f".{modifier.name}({', '.join(_word(one) for one in modifier.arguments)})"


def _metric_query(query: MetricQuery) -> str:
    head = f"{query.aggregator}:" if query.aggregator else ""
    if query.counted:
        limit = f"{query.counted.comparator}{render_number(query.counted.value)}"
        head = f"count(v: v{limit}):"
    by = f" by {{{','.join(query.by)}}}" if query.by else ""
    modifiers = "".join(render_modifier(one) for one in query.modifiers)
    return f"{head}{query.metric}{{{render_scope(query.scope)}}}{by}{modifiers}"


def _listed(part: Tag | In | Not) -> str:
    if isinstance(part, Not):
        return f"!{render_scope(part.part)}"
    return render_scope(part)


def _grouped(part: Scope) -> str:
    inner = render_scope(part)
    return f"({inner})" if isinstance(part, Both | Either) else inner


def _tag(text: str) -> str:
    key, colon, value = text.partition(":")
    if _PLAIN_TAG.fullmatch(text) and text not in _KEYWORDS:
        return text
    if colon and _PLAIN_KEY.fullmatch(key) and '"' not in value:
        return f'{key}:"{value}"'
    return f'"{text}"'


def _value(text: str) -> str:
    return text if _PLAIN_VALUE.fullmatch(text) else f'"{text}"'


def _word(word: str | float) -> str:
    if not isinstance(word, str):
        return render_number(word)
    return word if _PLAIN_WORD.fullmatch(word) else _quoted(word, SINGLE)


def _quoted(text: str, quote: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return f"{quote}{escaped}{quote}"


def _call(call: Call) -> str:
    given = [render(one) for one in call.arguments]
    given += [f"{name}={render(value)}" for name, value in call.keywords]
    return f"{call.function}({', '.join(given)})"


def _binary(binary: Binary) -> str:
    tight = binary.operator in {"*", "/"}
    left, right = render(binary.left), render(binary.right)
    if tight and isinstance(binary.left, Binary) and binary.left.operator in {"+", "-"}:
        left = f"({left})"
    if isinstance(binary.right, Binary) and (tight or binary.right.operator in {"+", "-"}):
        right = f"({right})"
    return f"{left} {binary.operator} {right}"


def render_monitor(query: MonitorQuery) -> str:  # noqa: PLR0911 - one a kind
    """The query of a monitor."""
    match query:
        case MetricAlert():
            return _metric_alert(query)
        case CheckAlert(check=check, steps=steps):
            return _quoted(check, DOUBLE) + _steps(steps)
        case SearchAlert(source=source, query=text, steps=steps, comparison=comparison):
            chain = f"{source}({_quoted(text, DOUBLE)}){_steps(steps)}"
            return f"{chain} {render_comparison(comparison)}"
        case FormulaAlert(formula=formula, steps=steps, comparison=comparison):
            chain = f"formula({_quoted(render(formula), DOUBLE)}){_steps(steps)}"
            return f"{chain} {render_comparison(comparison)}"
        case SloAlert():
            return _slo_alert(query)
        case Composite(combination=combination):
            return _combination(combination)
        case NoQuery(text=text):
            return text


def render_comparison(comparison: Comparison) -> str:
    """`> 120`."""
    limit = "threshold" if comparison.value is None else render_number(comparison.value)
    return f"{comparison.comparator} {limit}"


def _metric_alert(alert: MetricAlert) -> str:
    head = f"{alert.aggregator}({alert.window.text})"
    if alert.change:
        head = f"{alert.change.kind}({head},{alert.change.shift})"
    return f"{head}:{render(alert.expression)} {render_comparison(alert.comparison)}"


def _slo_alert(alert: SloAlert) -> str:
    steps = [("over", alert.over)]
    if alert.long_window and alert.short_window:
        steps += [("long_window", alert.long_window), ("short_window", alert.short_window)]
    chain = "".join(f'.{name}("{span}")' for name, span in steps)
    slo_id = _quoted(alert.slo_id, DOUBLE)
    return f"{alert.kind}({slo_id}){chain} {render_comparison(alert.comparison)}"


def _steps(steps: Iterable[Step]) -> str:
    return "".join(f".{step.name}({_step_arguments(step)})" for step in steps)


def _step_arguments(step: Step) -> str:
    given = [
        _quoted(one.value, DOUBLE) if isinstance(one, Text) else render_number(one)
        for one in step.arguments
    ]
    for name, value in step.keywords:
        shown = _quoted(value, DOUBLE) if isinstance(value, str) else render_number(value)
        given.append(f"{name}={shown}")
    return ", ".join(given)


def _combination(part: Combination) -> str:
    match part:
        case Monitor(monitor_id=monitor_id):
            return str(monitor_id)
        case Unless(part=below):
            inner = _combination(below)
            return f"!({inner})" if isinstance(below, AllOf | AnyOf) else f"!{inner}"
        case AllOf(parts=parts):
            return " && ".join(
                f"({_combination(one)})" if isinstance(one, AllOf | AnyOf) else _combination(one)
                for one in parts
            )
        case AnyOf(parts=parts):
            return " || ".join(
                f"({_combination(one)})" if isinstance(one, AnyOf) else _combination(one)
                for one in parts
            )


def render_any(read: tuple[Expression, ...] | Expression | MonitorQuery) -> str:
    """Whatever `parsing.parse` read."""
    match read:
        case tuple():
            return render_metric(read)
        case (
            MetricAlert()
            | CheckAlert()
            | SearchAlert()
            | FormulaAlert()
            | SloAlert()
            | Composite()
            | NoQuery()
        ):
            return render_monitor(read)
        case _:
            return render(read)
