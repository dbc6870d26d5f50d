"""What is said of a transition: title, message with its variables and blocks, handles, webhooks.

Knows no network: `handles_in` says who is meant, `render_payload` what a webhook posts.
"""

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pettwin_pipeline.datadog_protocol.frames import Group
from pettwin_pipeline.datadog_protocol.monitor_options import Status, Thresholds
from pettwin_pipeline.datadog_protocol.monitor_states import RECOVERIES, Change, Transition
from pettwin_pipeline.datadog_protocol.rendering import render_number
from pettwin_pipeline.datadog_protocol.templates import read_template, render_template

_HANDLE: Final = re.compile(r"(?<![\w.@])@([\w\-]+(?:[.+][\w\-]+)*(?:@[\w\-]+(?:\.[\w\-]+)+)?)")
_VARIABLE: Final = re.compile(r"\$(TAGS\[([^\]]*)\]|[A-Z][A-Z_]*)")
_DOTTED: Final = re.compile(r"\[([^\]]*)\]\.name|(.+)\.name")
_UNRESERVED: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
_TIME: Final = "%a %b %d %Y %H:%M:%S %Z"

TITLES: Final[Mapping[Change, str]] = {
    Change.TRIGGERED: "Triggered",
    Change.WARN_TO_ALERT: "Triggered",
    Change.WARNED: "Warn",
    Change.ALERT_TO_WARN: "Warn",
    Change.NO_DATA: "No Data",
    Change.RECOVERED: "Recovered",
    Change.WARN_RECOVERED: "Recovered",
    Change.NO_DATA_RECOVERED: "Recovered",
}
_OF_STATUS: Final[Mapping[Status, str]] = {
    Status.ALERT: "Triggered",
    Status.WARN: "Warn",
    Status.NO_DATA: "No Data",
    Status.UNKNOWN: "No Data",
}
_EVENT_TYPES: Final[Mapping[Status, str]] = {
    Status.ALERT: "error",
    Status.WARN: "warning",
    Status.NO_DATA: "warning",
    Status.UNKNOWN: "warning",
    Status.OK: "success",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A transition of one group and what is known of its monitor.

    Args:
        name: of the monitor, without rendering.
        message: its template.
        transition: what happened.
        group: `key:value` of each key.
        thresholds: of the options.
        comparator: of the query; empty for a check.
        priority: 1 to 5.
        first_triggered_s: when it left OK.
        last_triggered_s: when it reached the present state.
        check_message: of the last run of a service check.
        parts: values of the parts of a composite, by their letters.
        escalation_message: said instead when it is told again.
        include_tags: whether the title tells the group.
    """

    name: str
    message: str
    transition: Transition
    group: Group = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    comparator: str = ""
    priority: int | None = None
    first_triggered_s: float | None = None
    last_triggered_s: float | None = None
    check_message: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    escalation_message: str = ""
    include_tags: bool = True

    @property
    def word(self) -> str:
        """Triggered, Recovered, Warn, No Data; with Re- before it when it is told again."""
        change = self.transition.change
        if change in TITLES:
            return TITLES[change]
        again = "Re-" if change is Change.RENOTIFIED else ""
        return again + _OF_STATUS.get(self.transition.after, "Triggered")


class NoticeScope:
    """Variables and conditions of a notice, for a template."""

    def __init__(self, notice: Notice) -> None:
        self._notice = notice
        self._tags = dict(tag.split(":", 1) for tag in notice.group if ":" in tag)
        self._functions: dict[str, Callable[[Sequence[str]], str | None]] = {
            "eval": lambda words: _calculated(" ".join(words), self._numbers()),
            "local_time": self._local_time,
            "urlencode": lambda words: _maybe(words, _percent_encoded, self.value),
        }

    def value(self, words: Sequence[str]) -> str | None:
        """The text of a variable or a function."""
        name, *arguments = words
        if name in self._functions:
            return self._functions[name](arguments)
        if (number := self._numbers().get(name)) is not None:
            return render_number(number)
        if name in self._texts():
            return self._texts()[name]
        match = _DOTTED.fullmatch(name)
        return self._tags.get(match[1] or match[2]) if match else None

    def holds(self, words: Sequence[str]) -> bool | None:
        """Whether a condition holds now."""
        name, *arguments = words
        if name in {"is_match", "is_exact_match"}:
            return self._matches(arguments, exact=name == "is_exact_match")
        if name == "is_priority":
            wanted = (arguments[0] if arguments else "").upper().removeprefix("P")
            return wanted == str(self._notice.priority)
        return self._conditions().get(name)

    def _conditions(self) -> dict[str, bool]:
        change, after = self._notice.transition.change, self._notice.transition.after
        return {
            "is_alert": after is Status.ALERT,
            "is_warning": after is Status.WARN,
            "is_no_data": after is Status.NO_DATA,
            "is_unknown": after is Status.UNKNOWN,
            "is_recovery": change in RECOVERIES,
            "is_alert_recovery": change is Change.RECOVERED,
            "is_warning_recovery": change is Change.WARN_RECOVERED,
            "is_no_data_recovery": change is Change.NO_DATA_RECOVERED,
            "is_alert_to_warning": change is Change.ALERT_TO_WARN,
            "is_warning_to_alert": change is Change.WARN_TO_ALERT,
            "is_renotify": change is Change.RENOTIFIED,
        }

    def _matches(self, arguments: Sequence[str], *, exact: bool) -> bool:
        if not arguments:
            return False
        found = self.value([arguments[0]]) or ""
        wanted = arguments[1:]
        return found in wanted if exact else any(one in found for one in wanted)

    def _numbers(self) -> dict[str, float]:
        notice = self._notice
        known = {
            "value": notice.transition.value,
            "threshold": notice.thresholds.critical,
            "warn_threshold": notice.thresholds.warning,
            "ok_threshold": notice.thresholds.ok,
            "triggered_duration_sec": float(int(notice.transition.lasted_s)),
            "first_triggered_at_epoch": _millis(notice.first_triggered_s),
            "last_triggered_at_epoch": _millis(notice.last_triggered_s),
            **{f"{letter}.value": value for letter, value in notice.parts.items()},
        }
        return {name: value for name, value in known.items() if value is not None}

    def _texts(self) -> dict[str, str]:
        notice = self._notice
        return {
            "comparator": notice.comparator,
            "check_message": notice.check_message,
            "first_triggered_at": _time(notice.first_triggered_s, UTC),
            "last_triggered_at": _time(notice.last_triggered_s, UTC),
        }

    def _local_time(self, words: Sequence[str]) -> str | None:
        known = {
            "first_triggered_at": self._notice.first_triggered_s,
            "last_triggered_at": self._notice.last_triggered_s,
        }
        if not words or words[0] not in known:
            return None
        return _time(known[words[0]], _zone(words[1] if len(words) > 1 else "UTC"))


def _percent_encoded(text: str) -> str:
    return "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode("utf-8")
    )


def _maybe(
    words: Sequence[str],
    function: Callable[[str], str],
    value: Callable[[Sequence[str]], str | None],
) -> str | None:
    found = value([words[0]]) if words else None
    return None if found is None else function(found)


def _millis(at_s: float | None) -> float | None:
    return None if at_s is None else float(int(at_s * 1000))


def _time(at_s: float | None, zone: tzinfo) -> str:
    return "" if at_s is None else datetime.fromtimestamp(at_s, zone).strftime(_TIME)


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


_OPERATIONS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_LONGEST_SUM: Final = 200


def _calculated(text: str, numbers: Mapping[str, float]) -> str | None:
    """Sums of numbers and variables; None where it is none, or divides by zero."""
    if len(text) > _LONGEST_SUM:
        return None
    try:
        return render_number(_number(ast.parse(text, mode="eval").body, numbers))
    except (SyntaxError, ValueError, ArithmeticError, KeyError, RecursionError):
        return None


def _number(node: ast.expr, numbers: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return float(value)
        case ast.Name(id=name):
            return numbers[name]
        case ast.Attribute(value=ast.Name(id=letter), attr=attribute):
            return numbers[f"{letter}.{attribute}"]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_number(left, numbers), _number(right, numbers))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, numbers)
        case ast.Call(func=ast.Name(id="int"), args=[argument], keywords=[]):
            return float(int(_number(argument, numbers)))
        case _:
            raise ValueError("no sum")


def title_of(notice: Notice) -> str:
    """`[P2] [Triggered on {host:h1}] Name`; the variables of the name are put in."""
    priority = f"[P{notice.priority}] " if notice.priority else ""
    told = notice.group if notice.include_tags else ()
    where = f" on {{{','.join(told)}}}" if told else ""
    name = render_template(read_template(notice.name), NoticeScope(notice))
    return f"{priority}[{notice.word}{where}] {name}"


def message_of(notice: Notice) -> str:
    """The message with its variables and blocks; the escalation message when it is told again."""
    again = notice.transition.change is Change.RENOTIFIED and notice.escalation_message
    text = notice.escalation_message if again else notice.message
    return render_template(read_template(text), NoticeScope(notice))


def handles_in(message: str) -> tuple[str, ...]:
    """Who is meant by a rendered message: `webhook-x`, `slack-y`, `a@b.org`, each once."""
    return tuple(dict.fromkeys(_HANDLE.findall(message)))


DEFAULT_PAYLOAD: Final = json.dumps(
    {
        "body": "$EVENT_MSG",
        "last_updated": "$LAST_UPDATED",
        "event_type": "$EVENT_TYPE",
        "title": "$EVENT_TITLE",
        "date": "$DATE",
        "org": {"id": "$ORG_ID", "name": "$ORG_NAME"},
        "id": "$ID",
    }
)
"""What a webhook posts whose payload nobody wrote."""


@dataclass(frozen=True, slots=True)
class Posting:
    """What a webhook may say beside the notice."""

    monitor_id: int
    query: str
    metric: str
    monitor_type: str
    event_id: int
    org_id: int
    org_name: str
    link: str
    tags: tuple[str, ...] = ()
    user: str = ""
    snapshot: str = ""


def webhook_variables(notice: Notice, posting: Posting) -> dict[str, str]:
    """The variables of a webhook's payload, without the dollar."""
    transition = notice.transition
    at_ms = str(int(transition.at_s * 1000))
    scope = ",".join(notice.group) or "*"
    message = message_of(notice)
    tags = tuple(dict.fromkeys([*posting.tags, *notice.group]))
    return {
        "AGGREG_KEY": f"monitor_{posting.monitor_id}",
        "ALERT_CYCLE_KEY": f"{posting.monitor_id}-{scope}-{int(notice.first_triggered_s or 0)}",
        "ALERT_ID": str(posting.monitor_id),
        "ALERT_METRIC": posting.metric,
        "ALERT_PRIORITY": f"P{notice.priority}" if notice.priority else "",
        "ALERT_QUERY": posting.query,
        "ALERT_SCOPE": scope,
        "ALERT_STATUS": f"{notice.word}: {transition.after}",
        "ALERT_TITLE": title_of(notice).removeprefix(f"[P{notice.priority}] "),
        "ALERT_TRANSITION": notice.word,
        "ALERT_TYPE": _EVENT_TYPES.get(transition.after, "info"),
        "DATE": at_ms,
        "DATE_POSIX": str(int(transition.at_s)),
        "EMAIL": posting.user,
        "EVENT_MSG": message,
        "EVENT_TITLE": title_of(notice),
        "EVENT_TYPE": f"{posting.monitor_type.replace(' ', '_')}_monitor",
        "HOSTNAME": dict(one.split(":", 1) for one in tags if ":" in one).get("host", ""),
        "ID": str(posting.event_id),
        "LAST_UPDATED": at_ms,
        "LINK": posting.link,
        "LOGS_SAMPLE": "",
        "METRIC_NAMESPACE": posting.metric.partition(".")[0],
        "ORG_ID": str(posting.org_id),
        "ORG_NAME": posting.org_name,
        "PRIORITY": "normal",
        "SNAPSHOT": posting.snapshot,
        "TAGS": ", ".join(tags),
        "TEXT_ONLY_MSG": re.sub(r"@[\w\-.@]+", "", message).strip(),
        "USER": posting.user,
        "USERNAME": posting.user,
    }


def render_payload(template: str, variables: Mapping[str, str], *, as_json: bool = True) -> str:
    """`$NAME` and `$TAGS[key]` put in, escaped for a JSON text; what is not known stays."""
    tags = dict(
        one.strip().split(":", 1) for one in variables.get("TAGS", "").split(",") if ":" in one
    )

    def put_in(match: re.Match[str]) -> str:
        known = tags.get(match[2], "") if match[2] is not None else variables.get(match[1])
        if known is None:
            return match[0]
        return json.dumps(known)[1:-1] if as_json else known

    return _VARIABLE.sub(put_in, template)
