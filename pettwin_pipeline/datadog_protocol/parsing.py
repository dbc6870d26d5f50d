"""Text to the values of `syntax` and `monitor_syntax`, or a `QuerySyntaxError` with its column.

`parse_metric` for what a widget or the query API asks, `parse_formula` for what combines named
queries, `parse_monitor` for a monitor of a given type. The grammar is `query.lark`.
"""

from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal, cast

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from pettwin_pipeline.datadog_protocol import monitor_rules
from pettwin_pipeline.datadog_protocol.building import column_of, unquoted
from pettwin_pipeline.datadog_protocol.monitor_building import Chained, MonitorBuilder
from pettwin_pipeline.datadog_protocol.monitor_syntax import (
    CheckAlert,
    Composite,
    FormulaAlert,
    MetricAlert,
    MonitorQuery,
    NoQuery,
    SearchAlert,
    SloAlert,
)
from pettwin_pipeline.datadog_protocol.searches import search_problem
from pettwin_pipeline.datadog_protocol.syntax import Expression
from pettwin_pipeline.errors import QuerySyntaxError

_STARTS: Final = (
    *("metric", "formula", "query_alert", "chain_alert", "service_check", "composite"),
)
_LONGEST: Final = 65_536
_SHOWN: Final = 20

METRIC_TYPES: Final = ("metric alert", "query alert")
MONITOR_TYPES: Final = (
    "service check",
    "composite",
    "slo alert",
    "synthetics alert",
    *monitor_rules.SEARCHES,
)
"""Every type of monitor whose query can be parsed."""

KINDS: Final = ("metric", "formula", *MONITOR_TYPES)
"""What `parse` takes."""

_WORDS: Final = {
    "METRIC_HEAD": "a metric with {scope}",
    "FUNCTION": "a function",
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a quoted text",
    "TAG": "a tag",
    "VALUE": "a value",
    "KEY": "a tag key",
    "BY": "by {keys}",
    "MODIFIER": "a modifier",
    "STEP": "a step such as .last()",
    "WORD": "a word",
    "HEAD": "a source",
    "COMPARATOR": "a comparison",
    "MONITOR_ID": "a monitor's id",
    "BANG": "!",
    "LBRACE": "{",
    "RBRACE": "}",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "COLON": ":",
    "EQUAL": "=",
    "PLUS": "+",
    "MINUS": "-",
    "STAR": "*",
    "SLASH": "/",
    "__ANON_0": "||",
    "__ANON_1": "&&",
    "$END": "the end",
    "<END-OF-FILE>": "the end",
}


def parse_metric(text: str) -> tuple[Expression, ...]:
    """`avg:system.load.1{*} by {host}`, arithmetic and functions; several with commas between."""
    return cast("tuple[Expression, ...]", _parse(text, "metric"))


def parse_formula(text: str) -> Expression:
    """`query1 / query2 * 100`: any names may stand for queries."""
    return cast("Expression", _parse(text, "formula"))


def parse_monitor(kind: str, text: str) -> MonitorQuery:
    """The query of a monitor of type `kind`.

    Raises:
        QuerySyntaxError: the query is not one of this kind.
        ValueError: there is no such type of monitor; `MONITOR_TYPES` has them.
    """
    if kind in METRIC_TYPES:
        made = _parse(text, "query_alert")
        return made if isinstance(made, MetricAlert) else _search_alert(kind, made)
    if kind == "service check":
        return cast("CheckAlert", _parse(text, "service_check"))
    if kind == "composite":
        return cast("Composite", _parse(text, "composite"))
    if kind == "synthetics alert":
        return NoQuery(_given(text).strip())
    if kind == "slo alert":
        return _slo_alert(_parse(text, "chain_alert"))
    if kind in monitor_rules.SEARCHES:
        return _search_alert(kind, _parse(text, "chain_alert"))
    raise ValueError(f"there is no monitor of type {kind}")


def parse(kind: str, text: str) -> tuple[Expression, ...] | Expression | MonitorQuery:
    """A query of any kind: `metric`, `formula`, or a type of monitor. Errors as `parse_monitor`."""
    if kind == "metric":
        return parse_metric(text)
    if kind == "formula":
        return parse_formula(text)
    return parse_monitor(kind, text)


def _search_alert(kind: str, chain: Chained) -> SearchAlert | FormulaAlert:
    head, query, steps, comparison = chain
    known = monitor_rules.SEARCHES[kind]
    if head not in known:
        wanted = " or ".join(f'{name}("...")' for name in known)
        raise QuerySyntaxError(column_of(head), f"a {kind} begins with {wanted}")
    monitor_rules.check_search(kind, known[head], steps)
    plain = tuple(step for _, step in steps)
    if head != "formula":
        if problem := search_problem(unquoted(query)):
            raise QuerySyntaxError(column_of(query) + 1 + problem[0], problem[1])
        return SearchAlert(str(head), unquoted(query), plain, comparison)
    try:
        formula = parse_formula(unquoted(query))
    except QuerySyntaxError as error:
        raise QuerySyntaxError(column_of(query) + error.column, error.problem) from None
    return FormulaAlert(formula, plain, comparison)


def _slo_alert(chain: Chained) -> SloAlert:
    head, slo_id, steps, comparison = chain
    if head not in monitor_rules.SLO_STEPS:
        wanted = 'error_budget("id") or burn_rate("id")'
        raise QuerySyntaxError(column_of(head), f"a slo alert begins with {wanted}")
    if not unquoted(slo_id).strip():
        raise QuerySyntaxError(column_of(slo_id), "the id of an SLO stands between the quotes")
    if comparison.comparator not in {">", ">="} or comparison.value is None:
        raise QuerySyntaxError(steps[-1][0], "an SLO is watched with > or >= and a number")
    monitor_rules.check_slo(str(head), steps)
    spans = {step.name: step.texts[0] for _, step in steps}
    return SloAlert(
        cast('Literal["error_budget", "burn_rate"]', str(head)),
        unquoted(slo_id),
        spans["over"],
        comparison,
        spans.get("long_window"),
        spans.get("short_window"),
    )


def _given(text: str) -> str:
    if not text.strip():
        raise QuerySyntaxError(1, "there is no query")
    if len(text) > _LONGEST:
        raise QuerySyntaxError(_LONGEST, f"a query has at most {_LONGEST} characters")
    return text


def _parse(text: str, start: str) -> Any:
    try:
        return _parser().parse(_given(text), start=start)
    except UnexpectedInput as error:
        at, wanted = _place(text, error)
        raise QuerySyntaxError(at + 1, _problem(text, at, wanted, start)) from None


@cache
def _parser() -> Lark:
    grammar = files(__package__ or "").joinpath("query.lark").read_text("utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start=list(_STARTS),
        transformer=MonitorBuilder(),
        maybe_placeholders=False,
    )


def _place(text: str, error: UnexpectedInput) -> tuple[int, set[str]]:
    """Where it stopped, from 0, and the words that could have followed."""
    match error:
        case UnexpectedToken(token=token, expected=expected) if token.type != "$END":
            return token.start_pos or 0, set(expected)
        case UnexpectedCharacters(pos_in_stream=at, allowed=allowed):
            return at or 0, set(allowed or ())
        case UnexpectedToken(expected=expected) | UnexpectedEOF(expected=expected):
            return len(text.rstrip()), set(expected)
        case _:
            return error.pos_in_stream or 0, set()


def _problem(text: str, at: int, wanted: set[str], start: str) -> str:
    """In words; what the grammar's tables offer but this query cannot take is left out."""
    if text[:at].count("(") <= text[:at].count(")"):
        wanted -= {"RPAR"}
    if start in {"metric", "formula"}:
        wanted -= {"COMPARATOR"}
    if start == "formula":
        wanted -= {"COMMA", "METRIC_HEAD"}
    found = text[at : at + _SHOWN].partition("\n")[0]
    what = f"unexpected {found!r}" if found.strip() else "the query ends too early"
    if found.startswith(":") and "STRING" not in wanted:
        return f"{what}; a metric is followed by {{scope}}"
    words = sorted(_WORDS.get(name, name) for name in wanted)
    return f"{what}; expected {', '.join(words) or 'nothing more'}"
