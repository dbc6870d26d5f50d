"""Which series a scope takes."""

import pytest

from pettwin_pipeline.datadog_protocol.matching import Variable, matcher, with_variables
from pettwin_pipeline.datadog_protocol.parsing import parse_metric
from pettwin_pipeline.datadog_protocol.rendering import render
from pettwin_pipeline.datadog_protocol.syntax import MetricQuery

SERIES = ("canary", "env:prod", "host:web-1", "team:a", "team:b", "url:/get_users")


def takes(scope: str, tags: tuple[str, ...] = SERIES) -> bool:
    (query,) = parse_metric(f"avg:a{{{scope}}}")
    assert isinstance(query, MetricQuery)
    return matcher(query.scope)(tags)


@pytest.mark.parametrize(
    ("scope", "taken"),
    [
        ("*", True),
        ("env:prod", True),
        ("ENV:Prod", True),
        ("env:pro", False),
        ("env:pro*", True),
        ("host:*-1", True),
        ("host:w*1", True),
        ("host:*2", False),
        ("env:*", True),
        ("region:*", False),
        ("canary", True),
        ("prod", False),
        ("team:a,team:b", True),
        ("env:prod,!canary", False),
        ("!env:dev", True),
        ("!region:*", True),
        ("env:prod AND NOT team:c", True),
        ("env:dev OR host:web-1", True),
        ("env:dev OR host:web-2", False),
        ("env IN (dev,prod)", True),
        ("env IN (dev,st*)", False),
        ("env NOT IN (dev)", True),
        ("region NOT IN (eu)", True),
        ("env NOT IN (prod)", False),
        ("env:prod,host IN (web-*)", True),
        ('url:"/GET users"', True),
        ("$scope", True),
        ("!$scope", True),
        ("env:$env.value", True),
        ("host:web.1", False),
    ],
)
def test_a_scope_takes_series_by_their_tags(scope: str, taken: bool) -> None:
    assert takes(scope) is taken


VARIABLES = {
    "env": Variable("env", ("prod",)),
    "team": Variable("team", ("a", "b")),
    "any": Variable("host", ("*",)),
    "tag": Variable(None, ("canary",)),
    "group": Variable(None, ("host", "env")),
}


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("avg:a{$env}", "avg:a{env:prod}"),
        ("avg:a{$env,$tag}", "avg:a{env:prod AND canary}"),
        ("avg:a{$team,x:y}", "avg:a{(team:a OR team:b) AND x:y}"),
        ("avg:a{!$team}", "avg:a{NOT (team:a OR team:b)}"),
        ("avg:a{$any,x:y}", "avg:a{* AND x:y}"),
        ("avg:a{!$any}", "avg:a{*}"),
        ("avg:a{service:$env.value}", "avg:a{service:prod}"),
        ("avg:a{service:x-$env.value-y}", "avg:a{service:x-prod-y}"),
        ("avg:a{service IN ($team.value,c)}", "avg:a{service IN (a,b,c)}"),
        ("avg:a{$other}", "avg:a{$other}"),
        ("avg:a{*} by {$group,x}", "avg:a{*} by {host,env,x}"),
        (
            "top(avg:a{$env} / -avg:b{$env}, 5, 'max', 'asc')",
            "top(avg:a{env:prod} / -avg:b{env:prod}, 5, 'max', 'asc')",
        ),
    ],
)
def test_template_variables_are_put_in(query: str, meant: str) -> None:
    (expression,) = parse_metric(query)
    assert render(with_variables(expression, VARIABLES)) == meant
