"""Service checks, run by run."""

from pettwin_pipeline.datadog_protocol.check_alerts import evaluate_check
from pettwin_pipeline.datadog_protocol.datagram import ServiceCheck
from pettwin_pipeline.datadog_protocol.monitor_options import Status, Thresholds
from pettwin_pipeline.datadog_protocol.monitor_syntax import CheckAlert
from pettwin_pipeline.datadog_protocol.parsing import parse_monitor

Group = tuple[str, ...]


def run(host: str, status: int, *tags: str, name: str = "db.up") -> ServiceCheck:
    return ServiceCheck(name, status, tags, host=host)


def found(
    query: str,
    newest_first: list[ServiceCheck],
    thresholds: Thresholds,
    before: dict[Group, Status] | None = None,
) -> dict[Group, tuple[float | None, Status | None]]:
    alert = parse_monitor("service check", query)
    assert isinstance(alert, CheckAlert)
    findings = evaluate_check(alert, newest_first, thresholds, before or {})
    return {group: (one.value, one.status) for group, one in findings.items()}


RUNS = [
    run("H1", 2, "env:prod"),
    run("H2", 0, "env:prod"),
    run("H3", 2, "env:dev"),
    run("H1", 2, "env:prod"),
    run("H2", 2, "env:prod"),
    run("H1", 0, "env:prod", name="other"),
]
TWICE = Thresholds(critical=2, ok=1)


def test_each_host_has_its_own_state() -> None:
    query = '"db.up".over("*").by("host").last(3).count_by_status()'
    assert found(query, RUNS, TWICE) == {
        ("host:h1",): (2, Status.ALERT),
        ("host:h2",): (0, Status.OK),
        ("host:h3",): (2, Status.OK),
    }


def test_over_and_exclude_choose_runs() -> None:
    query = '"db.up".over("env:prod").exclude("host:h2").by("host").last(3).count_by_status()'
    assert list(found(query, RUNS, TWICE)) == [("host:h1",)]
    both = '"db.up".over("env:prod","host:h2").by("host").last(3).count_by_status()'
    assert list(found(both, RUNS, TWICE)) == [("host:h2",)]


def test_only_so_many_runs_are_looked_at() -> None:
    query = '"db.up".over("*").by("host").last(1).count_by_status()'
    assert found(query, RUNS, TWICE)["host:h1",] == (2, Status.OK)


def test_a_state_stays_until_a_threshold_is_reached() -> None:
    query = '"db.up".over("host:h2").by("host").last(5).count_by_status()'
    before: dict[Group, Status] = {("host:h2",): Status.ALERT}
    assert found(query, RUNS, Thresholds(critical=2, ok=2), before) == {
        ("host:h2",): (0, Status.ALERT)
    }


def test_runs_without_the_tag_are_not_seen() -> None:
    query = '"db.up".over("*").by("region").last(2).count_by_status()'
    assert found(query, RUNS, TWICE) == {}


def test_without_a_group_by_there_is_one_group() -> None:
    query = '"db.up".over("env:dev").last(1).count_by_status()'
    assert found(query, RUNS, Thresholds(critical=1)) == {(): (2, Status.ALERT)}


def test_a_percentage_is_of_groups_whose_latest_run_is_critical() -> None:
    query = '"db.up".over("env:prod").by("host").last(1).pct_by_status()'
    assert found(query, RUNS, TWICE) == {(): (50, None)}
