"""Titles, messages and webhook payloads, as they are rendered."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pettwin_pipeline.datadog_protocol.monitor_messages import (
    DEFAULT_PAYLOAD,
    Notice,
    NoticeScope,
    Posting,
    handles_in,
    message_of,
    render_payload,
    title_of,
    webhook_variables,
)
from pettwin_pipeline.datadog_protocol.monitor_options import Status, Thresholds
from pettwin_pipeline.datadog_protocol.monitor_states import Change, Transition
from pettwin_pipeline.datadog_protocol.templates import read_template, unknown_words

AT = 1_700_000_000.0
TRIGGERED = Transition(
    Change.TRIGGERED, Status.OK, Status.ALERT, AT, 97.5, notifies=True, lasted_s=90
)
NOTICE = Notice(
    name="CPU of {{host.name}}",
    message="",
    transition=TRIGGERED,
    group=("host:<h1>", "team.name:red"),
    thresholds=Thresholds(critical=90, warning=80),
    comparator=">",
    priority=2,
    first_triggered_s=AT - 90,
    last_triggered_s=AT,
    check_message="it & failed",
    parts={"a": 5.0},
)


def said(message: str, **more: Any) -> str:
    return message_of(replace(NOTICE, message=message, **more))


def after(change: Change, before: Status, status: Status) -> Transition:
    return Transition(change, before, status, AT, 10.0, notifies=True)


RECOVERED = after(Change.RECOVERED, Status.ALERT, Status.OK)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{value}} {{comparator}} {{threshold}}/{{warn_threshold}}", "97.5 &gt; 90/80"),
        ("{{{comparator}}}", ">"),
        ("{{host.name}} {{{host.name}}}", "&lt;h1&gt; <h1>"),
        ("{{[team.name].name}}", "red"),
        ("{{check_message}}", "it &amp; failed"),
        ("{{triggered_duration_sec}}", "90"),
        ("{{first_triggered_at}}", "Tue Nov 14 2023 22:11:50 UTC"),
        ("{{last_triggered_at_epoch}}", "1700000000000"),
        ("{{a.value}}", "5"),
        ("{{eval 'int(value) / 2'}} {{eval \"a.value*(threshold+10)\"}}", "48.5 500"),
        ("{{eval 'value / 0'}}{{eval '__import__(1)'}}{{eval '9**9'}}", ""),
        ("{{local_time 'last_triggered_at' 'Asia/Tokyo'}}", "Wed Nov 15 2023 07:13:20 JST"),
        ("{{urlencode 'host.name'}}", "%3Ch1%3E"),
        ("{{{{raw}}}}{{value}}{{{{/raw}}}}", "{{value}}"),
        ("{{nobody.name}}[{{nothing}}]", "[]"),
        ("a { b } {{ value }}", "a { b } 97.5"),
    ],
)
def test_variables_are_put_in(template: str, text: str) -> None:
    assert said(template) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{#is_alert}}A{{else}}B{{/is_alert}}", "A"),
        ("{{#is_warning}}A{{else}}B{{/is_warning}}", "B"),
        ("{{^is_warning}}A{{/is_warning}}", "A"),
        ("{{#is_alert}}{{#is_match 'host.name' 'h1'}}in{{/is_match}}{{/is_alert}}", "in"),
        ("{{#is_match 'host.name' 'x' 'y'}}in{{else}}out{{/is_match}}", "out"),
        ("{{#is_exact_match 'team.name.name' 'red'}}in{{/is_exact_match}}", "in"),
        ('{{#is_exact_match "team.name.name" "re"}}in{{/is_exact_match}}', ""),
        (
            "{{#is_priority 'P2'}}two{{/is_priority}}{{#is_priority 'P3'}}three{{/is_priority}}",
            "two",
        ),
        ("{{#is_recovery}}A{{/is_recovery}}{{#is_no_data}}B{{/is_no_data}}", ""),
        ("{{#is_nonsense}}A{{/is_nonsense}}", ""),
    ],
)
def test_blocks_follow_their_conditions(template: str, text: str) -> None:
    assert said(template) == text


@pytest.mark.parametrize(
    ("transition", "true"),
    [
        (TRIGGERED, {"is_alert"}),
        (after(Change.WARNED, Status.OK, Status.WARN), {"is_warning"}),
        (RECOVERED, {"is_recovery", "is_alert_recovery"}),
        (
            after(Change.WARN_RECOVERED, Status.WARN, Status.OK),
            {"is_recovery", "is_warning_recovery"},
        ),
        (
            after(Change.ALERT_TO_WARN, Status.ALERT, Status.WARN),
            {"is_warning", "is_alert_to_warning"},
        ),
        (after(Change.NO_DATA, Status.OK, Status.NO_DATA), {"is_no_data"}),
        (
            after(Change.NO_DATA_RECOVERED, Status.NO_DATA, Status.OK),
            {"is_recovery", "is_no_data_recovery"},
        ),
        (after(Change.RENOTIFIED, Status.ALERT, Status.ALERT), {"is_alert", "is_renotify"}),
    ],
)
def test_conditions_say_what_happened(transition: Transition, true: set[str]) -> None:
    scope = NoticeScope(replace(NOTICE, transition=transition))
    names = [
        *("is_alert", "is_warning", "is_recovery", "is_alert_recovery", "is_warning_recovery"),
        *("is_alert_to_warning", "is_no_data", "is_no_data_recovery", "is_renotify"),
    ]
    assert {name for name in names if scope.holds([name])} == true


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{#is_alert}}x", "{{#is_alert}} is not closed"),
        ("x{{/is_alert}}", "{{/is_alert}} closes nothing"),
        ("{{#is_alert}}{{/is_warning}}", "{{/is_warning}} closes nothing"),
        ("{{else}}", "{{else}} without a block"),
    ],
)
def test_blocks_that_do_not_fit_are_told(template: str, problem: str) -> None:
    assert problem in read_template(template).problems


def test_words_that_nobody_knows_are_told() -> None:
    template = read_template("{{value}}{{#is_alert}}{{hots.name}}{{/is_alert}}{{#is_x}}{{/is_x}}")
    assert unknown_words(template, NoticeScope(NOTICE)) == ("hots.name", "is_x")


def test_deep_nesting_is_told_and_rendered() -> None:
    deep = "{{#is_alert}}" * 500 + "x" + "{{/is_alert}}" * 500
    assert said(deep) == "x"
    assert read_template(deep).problems


@given(st.text(st.sampled_from("{}#^/ ais_lertvu'\"[].eno"), max_size=80))
def test_any_text_is_rendered(template: str) -> None:
    said(template)


def test_a_title_has_priority_state_and_group() -> None:
    assert title_of(NOTICE) == ("[P2] [Triggered on {host:<h1>,team.name:red}] CPU of &lt;h1&gt;")
    plain = replace(NOTICE, priority=None, group=(), name="CPU", transition=RECOVERED)
    assert title_of(plain) == "[Recovered] CPU"
    again = after(Change.RENOTIFIED, Status.ALERT, Status.ALERT)
    assert title_of(replace(plain, transition=again)) == "[Re-Triggered] CPU"
    silent = after(Change.NO_DATA, Status.OK, Status.NO_DATA)
    assert title_of(replace(plain, transition=silent)) == "[No Data] CPU"


def test_it_is_escalated_when_it_is_told_again() -> None:
    again = after(Change.RENOTIFIED, Status.ALERT, Status.ALERT)
    assert said("m", escalation_message="e {{value}}") == "m"
    assert said("m", escalation_message="e {{value}}", transition=again) == "e 10"
    assert said("m", transition=again) == "m"


def test_handles_are_found_once_each() -> None:
    message = "see @webhook-pets and @slack-team-x, (@pagerduty) @a.b@c.org. @webhook-pets x@y.org"
    assert handles_in(message) == ("webhook-pets", "slack-team-x", "pagerduty", "a.b@c.org")


POSTING = Posting(
    monitor_id=7,
    query="avg(last_5m):avg:system.cpu.user{*} by {host} > 90",
    metric="system.cpu.user",
    monitor_type="query alert",
    event_id=99,
    org_id=1,
    org_name="Local",
    link="http://127.0.0.1/monitors/7",
    tags=("env:prod",),
)


def test_a_webhook_can_say_everything() -> None:
    said_by = webhook_variables(replace(NOTICE, message='say "x"\n@webhook-w'), POSTING)
    assert said_by["ALERT_TRANSITION"] == "Triggered"
    assert said_by["ALERT_ID"] == "7"
    assert said_by["ALERT_SCOPE"] == "host:<h1>,team.name:red"
    assert said_by["TAGS"] == "env:prod, host:<h1>, team.name:red"
    assert (said_by["DATE"], said_by["DATE_POSIX"]) == ("1700000000000", "1700000000")
    assert said_by["TEXT_ONLY_MSG"] == 'say "x"'
    assert (said_by["ALERT_PRIORITY"], said_by["ALERT_TYPE"]) == ("P2", "error")
    assert said_by["HOSTNAME"] == "<h1>"
    recovered = webhook_variables(replace(NOTICE, transition=RECOVERED), POSTING)
    assert recovered["ALERT_CYCLE_KEY"] == said_by["ALERT_CYCLE_KEY"]


def test_a_payload_is_json_whatever_is_put_in() -> None:
    variables = webhook_variables(replace(NOTICE, message='say "x"\n\\'), POSTING)
    posted = json.loads(render_payload(DEFAULT_PAYLOAD, variables))
    assert posted["body"] == 'say "x"\n\\'
    assert posted["org"] == {"id": "1", "name": "Local"}
    template = '{"team": "$TAGS[team.name]", "none": "$TAGS[x]", "keep": "$NOTHING $5"}'
    assert json.loads(render_payload(template, variables)) == {
        "team": "red",
        "none": "",
        "keep": "$NOTHING $5",
    }
    assert render_payload("m=$EVENT_MSG", variables, as_json=False) == 'm=say "x"\n\\'
