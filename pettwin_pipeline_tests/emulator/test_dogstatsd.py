"""DogStatsD through real sockets: Datadog's own client, and what each line means, by hand."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from datadog.dogstatsd.base import DogStatsd

from pettwin_pipeline.datadog_protocol.datagram import Reason
from pettwin_pipeline.datadog_protocol.payloads import TOO_NEW, TOO_OLD
from pettwin_pipeline.emulator.resources.check_store import check_runs
from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.statsd import (
    START_S,
    after,
    asked,
    await_datagrams,
    row,
    send,
    stand,
    unread,
)
from pettwin_pipeline_tests.stack.programs import wait_for


@pytest.fixture
def statsd(standing: LocalDatadog) -> Iterator[DogStatsd]:
    """The official client as it comes, its telemetry and all."""
    client = DogStatsd(
        "127.0.0.1", standing.dogstatsd_port, disable_buffering=True, constant_tags=["env:test"]
    )
    yield client
    client.close_socket()


# The official client


def test_every_call_of_the_official_client_is_understood(
    standing: LocalDatadog, statsd: DogStatsd
) -> None:
    statsd.gauge("c.gauge", 4)
    statsd.gauge_with_timestamp("c.timed_gauge", 5, START_S)
    statsd.count("c.count", 3)
    statsd.count_with_timestamp("c.timed_count", 15, START_S)
    statsd.increment("c.updown", 5)
    statsd.decrement("c.updown", 2)
    statsd.histogram("c.histogram", 8)
    statsd.distribution("c.distribution", 9)
    statsd.timing("c.timing", 120)
    statsd.set("c.set", "me")
    statsd.set("c.set", "you")
    with statsd.timed("c.timed"):
        pass
    with statsd.distributed("c.distributed"):
        pass
    statsd.event("title", "text", alert_type="warning", tags=["a:b"], aggregation_key="k")
    statsd.service_check("c.up", statsd.WARNING, tags=["a:b"], message="so so")
    statsd.flush()
    wait_for(lambda: any(check_runs(standing.state, "c.up")))
    after(standing)
    assert unread(standing) == {}
    found = {
        name: row(standing, f"sum:{name}{{env:test}}.as_count()", START_S, START_S + 10)
        for name in ("c.gauge", "c.timed_gauge", "c.count", "c.timed_count", "c.updown", "c.set")
    }
    assert found == {
        "c.gauge": {0: 4},
        "c.timed_gauge": {0: 5},
        "c.count": {0: 3},
        "c.timed_count": {0: 15},
        "c.updown": {0: 3},
        "c.set": {0: 2},
    }
    assert row(standing, "max:c.distribution{*}") == {0: 9}
    assert row(standing, "avg:c.histogram.max{*}")[0] == 8
    assert row(standing, "avg:c.timing.avg{*}")[0] == 120
    names = [one.name for one in standing.state.points.metrics()]
    assert {"c.timed.max", "c.distributed"} <= set(names)
    (event,) = standing.state.timeline.between("event")
    assert (event["title"], event["status"], event["tags"]) == (
        "title",
        "warn",
        ["a:b", "env:test"],
    )
    (run,) = check_runs(standing.state, "c.up")
    assert (run.status, run.message, run.tags) == (1, "so so", ("a:b", "env:test"))


def test_what_the_client_says_of_itself_is_counted_apart(standing: LocalDatadog) -> None:
    client = DogStatsd(
        "127.0.0.1",
        standing.dogstatsd_port,
        telemetry_min_flush_interval=0,
        disable_buffering=True,
    )
    client.gauge("mine", 1)
    client.gauge("mine", 1)
    client.close_socket()
    wait_for(lambda: standing.state.received.counted("samples") == 2)
    wait_for(lambda: standing.state.received.counted("samples_of_the_client") > 0)
    received = ask(standing, "GET", "/_local/unread", headers={}).json["received"]
    assert received["samples"] == 2


def test_the_client_writes_to_a_unix_socket_too(tmp_path: Path) -> None:
    path = tmp_path / "dsd.socket"
    with running_local_datadog(dogstatsd_socket=path) as local:
        stand(local)
        client = DogStatsd(socket_path=str(path), disable_buffering=True)
        client.gauge("by.path", 3)
        client.close_socket()
        wait_for(lambda: local.state.received.counted("samples") == 1)
        assert row(after(local), "avg:by.path{*}") == {0: 3}
    assert not path.exists()


def test_a_client_to_whom_localhost_is_ipv6_is_heard_too(standing: LocalDatadog) -> None:
    try:
        sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sender.connect(("::1", standing.dogstatsd_port))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with sender:
        sender.send(b"a:7|g")
        await_datagrams(standing, 1)
    assert row(after(standing), "avg:a{*}", START_S, START_S + 10) == {0: 7}


def test_a_unix_socket_that_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "dsd.socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    with running_local_datadog(dogstatsd_socket=path) as local:
        assert local.dogstatsd_socket == path
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(Exception, match="cannot listen at"),
        running_local_datadog(dogstatsd_socket=tmp_path / "file"),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"


# What lines mean


def test_of_a_gauge_the_last_of_ten_seconds_is_kept_under_their_start(
    standing: LocalDatadog,
) -> None:
    send(standing, "a:1|g", "a:7|g\na:3|g")
    after(standing)
    send(standing, "a:5|g")
    after(standing)
    assert row(standing, "avg:a{*}.rollup(avg, 10)") == {0: 3, 10: 5}


def test_a_count_of_15_in_ten_seconds_is_shown_as_one_and_a_half(standing: LocalDatadog) -> None:
    send(standing, "a:5|c", "a:10|c")
    after(standing)
    assert row(standing, "sum:a{*}.rollup(sum, 10)", START_S, START_S + 10) == {0: 1.5}
    assert row(standing, "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 15}


def test_a_counter_reports_zero_for_300_s_after_its_last_sample(standing: LocalDatadog) -> None:
    send(standing, "a:20|c")
    after(standing, 1000)
    found = row(standing, "sum:a{*}.as_count().rollup(sum, 10)", START_S, START_S + 900)
    assert found == {0: 20, **dict.fromkeys(range(10, 301, 10), 0)}


def test_of_a_set_its_different_members_are_counted(standing: LocalDatadog) -> None:
    send(standing, "a:x|s", "a:y|s", "a:x|s")
    assert row(after(standing), "avg:a{*}", START_S, START_S + 10) == {0: 2}


@pytest.mark.parametrize("kind", ["h", "ms"])
def test_a_histogram_becomes_five_series(standing: LocalDatadog, kind: str) -> None:
    send(standing, f"a:1:2:3:4|{kind}")
    after(standing)
    found = {
        ending: row(standing, f"avg:a.{ending}{{*}}", START_S, START_S + 10)
        for ending in ("avg", "count", "median", "95percentile", "max")
    }
    assert found == {
        "avg": {0: 2.5},
        "count": {0: 0.4},  # 4 in ten seconds
        "median": {0: 2},  # of an even number the lower
        "95percentile": {0: 4},
        "max": {0: 4},
    }


def test_a_distribution_answers_average_count_extremes_and_sum(standing: LocalDatadog) -> None:
    send(standing, "a:1:2:3:4|d", "a:10|d")
    after(standing)
    found = {
        name: row(standing, f"{name}:a{{*}}", START_S, START_S + 10)
        for name in ("avg", "count", "max", "min", "sum")
    }
    assert found == {
        "avg": {0: 4},
        "count": {0: 5},
        "max": {0: 10},
        "min": {0: 1},
        "sum": {0: 20},
    }


def test_percentiles_of_a_distribution_are_answered_only_when_they_are_enabled(
    standing: LocalDatadog,
) -> None:
    send(standing, "a:1:2:3:4|d", "a:10|d")
    after(standing)
    path = f"/api/v1/query?from={START_S}&to={START_S + 10}&query=p50:a%7B*%7D"
    told = ask(standing, "GET", path).json
    assert told["series"] == []
    assert "not enabled for a" in told["message"]
    configure(standing, "a", include_percentiles=True)
    (median,) = row(standing, "p50:a{*}", START_S, START_S + 10).values()
    assert median == pytest.approx(3, rel=0.01)
    assert row(standing, "count(v: v>3.5):a{*}", START_S, START_S + 10) == {0: 2}


def configure(local: LocalDatadog, metric: str, **attributes: object) -> None:
    """A tag configuration of a distribution."""
    told = {"metric_type": "distribution", "tags": [], **attributes}
    body = {"data": {"type": "manage_tags", "id": metric, "attributes": told}}
    assert ask(local, "POST", f"/api/v2/metrics/{metric}/tags", body).status == 201


def test_a_sample_rate_scales_counts_histograms_and_distributions(standing: LocalDatadog) -> None:
    send(standing, "c:2|c|@0.1", "h:5|h|@0.5", "d:5|d|@0.25", "g:5|g|@0.5")
    after(standing)
    assert row(standing, "sum:c{*}.as_count()", START_S, START_S + 10) == {0: 20}
    assert row(standing, "sum:h.count{*}.as_count()", START_S, START_S + 10) == {0: 2}
    assert row(standing, "count:d{*}", START_S, START_S + 10) == {0: 4}
    assert row(standing, "avg:g{*}", START_S, START_S + 10) == {0: 5}


def test_a_timestamp_keeps_its_place_and_a_count_of_15_is_one_and_a_half(
    standing: LocalDatadog,
) -> None:
    send(standing, f"a:15|c|T{START_S - 40}", f"b:15|g|T{START_S - 41}")
    after(standing)
    begins = START_S - 60
    assert row(standing, "sum:a{*}.rollup(sum, 1)", begins, START_S) == {-40: 1.5}
    assert row(standing, "sum:a{*}.as_count()", begins, START_S)[-40] == 15
    assert row(standing, "avg:b{*}.rollup(avg, 1)", begins, START_S) == {-41: 15}


def test_timestamps_that_are_too_old_or_too_new_or_of_another_type_are_refused(
    standing: LocalDatadog,
) -> None:
    send(
        standing,
        f"a:1|g|T{START_S - 3601}\na:1|g|T{START_S - 3600}\na:1|g|T{START_S + 601}\n"
        f"a:1|g|T{START_S + 600}\na:1|h|T{START_S}",
    )
    assert unread(standing) == {TOO_OLD: 1, TOO_NEW: 1, Reason.TIMESTAMP_NOT_TAKEN: 1}


def test_container_ids_and_later_fields_are_passed_over(standing: LocalDatadog) -> None:
    send(standing, "a:1|g|#x:y|c:ci-123|e:it-true|card:low|future:1")
    assert asked(after(standing), "avg:a{*} by {x}", START_S, START_S + 10) == {"x:y": {0: 1}}
    assert unread(standing) == {}


def test_lines_may_end_as_on_windows_and_packed_values_may_be_empty(
    standing: LocalDatadog,
) -> None:
    send(standing, "a:1|c\r\na:2::3|c\r\n\n")
    assert row(after(standing), "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 6}
    assert unread(standing) == {}


def test_names_and_tags_are_stored_as_datadog_stores_them(standing: LocalDatadog) -> None:
    send(standing, "http req.größe:1|g|#Env:Prod,a b:c,#".encode())
    after(standing)
    ask(standing, "GET", "/_local/health", headers={})
    (metric,) = standing.state.points.metrics()
    assert metric.name == "http_req.gr__e"
    assert metric.tags == ["_", "a_b:c", "env:prod"]


def test_a_name_of_300_letters_is_cut_to_200(standing: LocalDatadog) -> None:
    send(standing, f"{'n' * 300}:1|g")
    assert row(after(standing), f"avg:{'n' * 200}{{*}}", START_S, START_S + 10) == {0: 1}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a|c", Reason.NO_VALUE),
        ("a:|c", Reason.NO_VALUE),
        ("a:1", Reason.NO_TYPE),
        ("a:1|", Reason.NO_TYPE),
        (":1|c", Reason.NO_NAME),
        ("123:1|c", Reason.BAD_NAME),
        ("a:1|q", Reason.BAD_TYPE),
        ("a:one|c", Reason.BAD_VALUE),
        ("a:1|c|@0", Reason.BAD_RATE),
        ("a:1|c|@1.5", Reason.BAD_RATE),
        ("_e{5,4}:title|te", Reason.BAD_LENGTHS),
        ("_sc|up|4", Reason.BAD_STATUS),
    ],
)
def test_a_line_that_cannot_be_read_is_shown_with_its_reason(
    standing: LocalDatadog, line: str, reason: Reason
) -> None:
    send(standing, f"good:1|c\n{line}\ngood:2|c")
    told = ask(standing, "GET", "/_local/unread", headers={}).json
    assert told["not_stored"] == {reason: 1}
    assert told["newest"] == [
        {"at_s": float(START_S), "by": "dogstatsd", "reason": reason, "what": line}
    ]
    assert told["received"]["lines"] == 3
    assert row(after(standing), "sum:good{*}.as_count()", START_S, START_S + 10) == {0: 3}


def test_lengths_of_events_are_bytes_and_line_feeds_are_escaped(standing: LocalDatadog) -> None:
    fields = "|p:low|t:error|h:web-1|k:key|s:Mine|#x"
    send(standing, f"_e{{6,5}}:größ|a|b\\nc{fields}".encode())
    assert unread(standing) == {Reason.BAD_LENGTHS: 1}
    send(standing, f"_e{{6,6}}:größ|a|b\\nc{fields}".encode())
    (event,) = standing.state.timeline.between("event")
    told = {name: event[name] for name in ("title", "text", "priority", "status", "host", "source")}
    assert told == {
        "title": "größ",
        "text": "a|b\nc",
        "priority": "low",
        "status": "error",
        "host": "web-1",
        "source": "mine",
    }


def test_of_what_could_not_be_read_the_newest_200_are_kept(standing: LocalDatadog) -> None:
    send(standing, *("\n".join(f"a{n}:x|c" for n in range(k, k + 50)) for k in range(0, 300, 50)))
    told = ask(standing, "GET", "/_local/unread", headers={}).json
    assert told["not_stored"] == {Reason.BAD_VALUE: 300}
    assert len(told["newest"]) == 200
    assert told["newest"][0]["what"] == "a299:x|c"


def test_a_datagram_as_large_as_udp_allows_is_read_whole(standing: LocalDatadog) -> None:
    lines = "\n".join("a:1|c" for _ in range(10_000))
    send(standing, lines)
    assert row(after(standing), "sum:a{*}.as_count()", START_S, START_S + 10) == {0: 10_000}


def test_an_empty_datagram_is_one_and_says_nothing(standing: LocalDatadog) -> None:
    send(standing, b"", b"\n")
    assert standing.state.received.counted("datagrams") == 2
    assert standing.state.received.counted("lines") == 0
    assert unread(standing) == {}
