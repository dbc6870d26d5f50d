"""docs/local-datadog.md, generated: `python -m pettwin_pipeline_tests.conformance.page`.

What is faithful, partial or absent is not written by hand: it is what the recordings, the routes
and the official client's list of calls say.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

from pettwin_pipeline.emulator.resources import ROUTES
from pettwin_pipeline.emulator.server import running_local_datadog
from pettwin_pipeline_tests.conformance.calls import documented_calls
from pettwin_pipeline_tests.conformance.recordings import replay_tool
from pettwin_pipeline_tests.conformance.scoring import Score, Scored, score_recordings

FAITHFUL_PATHS = 95.0
"""Percent of the recorded paths that a faithful answer has at least."""

_HEAD = """\
# The local Datadog

<!-- Generated from the recordings, the routes and the official client; do not edit. To write it
again: .venv/bin/python -m pettwin_pipeline_tests.conformance.page > docs/local-datadog.md -->

`pettwin up` starts it beside the rest, `pettwin up --only datadog` alone, until Ctrl-C: HTTP on
http://127.0.0.1:8282 and DogStatsD on UDP port 8125, or on other free ports (written to
`stack.json` in the state folder). It is not Datadog and not affiliated with it.

* Any key is accepted on loopback; a missing one is answered as Datadog answers it. Other sites and
  other names than loopback's are refused on every write and under `/_local/`.
* What is made survives a restart (SQLite). Its ids, users and links are its own.
* `datadog`, `datadog-api-client` and the Terraform provider are pointed at it by their address
  alone: `api_host`, `Configuration(host=...)`, `api_url`.
* A query of a monitor that is refused says where it is wrong in the header `x-local-reason`, beside
  Datadog's own words.
* Bodies may be deflate, gzip or zstd. Too large ones are refused (413), without being kept.

## What it takes, and keeps

* DogStatsD over UDP, and with `--dogstatsd-socket PATH` over a unix socket: metrics of every type,
  packed values, rates, timestamps, events, service checks. No host is added to them.
* Series, distribution points, check runs, events and logs over HTTP. What is left out of a body or
  a datagram is counted with its reason; the newest 200 are shown under `/_local/unread`.
* Points lie as the Agent aggregates them, in buckets of 10 s that carry their start; those of HTTP
  as they were sent, of one series and second the later. Distributions are sketches (within 1 %).
* A bucket is in the file (SQLite) at most a second after its end. However the process ends, what it
  loses is what came into the bucket that was open.
* Points stay for 15 months, counted back from the newest, and up to 2 GB, the oldest hours go
  first; of checks and logs the newest 200,000, of events 100,000. At most 100,000 series, 20,000 of
  one metric: points of more are refused, and counted. Where it gets crowded, series that have said
  nothing for a day go.
* Datagrams that the kernel had no room for are told under `/_local/unread` too. There are some
  where a machine is very busy and its `net.core.rmem_max` small.
* Percentiles of a distribution are answered once its tag configuration has `include_percentiles`,
  as at Datadog; without it the answer is empty and says so.
* A gap in a graph is a gap in the answer: buckets without a value are left out in v1, null in v2.
* Logs and events can be searched by text, tags and attributes, counted, and be queries of formulas;
  all indexes are one.

```
echo -n "jobs.done:1|c|#team:a" > /dev/udp/127.0.0.1/8125                          # bash
curl -s -H "DD-API-KEY: any" -H "DD-APPLICATION-KEY: any" -G $ADDRESS/api/v1/query \\
  -d from=$(($(date +%s)-600)) -d to=$(date +%s) -d "query=sum:jobs.done{{*}}.as_count()"
```

## Monitors

* Every full minute of its clock is a round: monitors with windows under a day are evaluated in
  each, under two days every ten minutes, longer ones every half hour; new ones and ones that ask
  something new in the next round. `GET /_local/evaluation` tells how the last round went, and which
  monitors cannot be evaluated and why: those over data that is not kept here (spans, sessions and
  the like) and synthetic tests stay in No Data.
* Where the clock is advanced (up to 31 days) every minute between is evaluated, in order, before
  the call answers. Where it is set, or the machine slept, only the newest is. Where it is set back,
  rounds go on from there and nothing waits for a time that was.
* States, groups and when they changed survive a restart; SLO histories of monitors come of them. A
  transition is an event (`source:alert`), written before its state is kept: of a process that dies
  between the two it is told twice, never not.
* Anomalies, outliers and forecasts have the interface and the documented behaviour of Datadog's,
  never its numbers. Alert is downtime of an SLO of monitors, all other states are uptime.
* `@webhook-NAME` is posted: 15 s for an answer, five retries 1, 2, 4, 8 and 16 s after 5xx or no
  answer, one thread a webhook, no redirect. Only to hosts of `PETTWIN_WEBHOOK_HOSTS` (loopback):
  anything else is refused, visibly. Everybody else (`@slack-...`, `@pagerduty-...`, addresses,
  `@all`) is told in the outbox alone: `GET /_local/outbox`. Secrets are not in it.

## Its own plane

| call | what it does |
|---|---|
| `GET /_local/health` | 200 once it is ready; how much of each kind is kept |
| `GET /_local/unread` | what came in, what was not stored and why, the newest first |
| `GET /_local/evaluation` | the last round of monitors, and what cannot be evaluated |
| `GET`, `DELETE /_local/outbox` | notifications (`kind`, `handle`, `status`, `count`, `before`) |
| `POST /_local/reset` | forget everything |
| `GET`, `PUT`, `DELETE /_local/clock` | see it, set it, go back to the machine's |
| `GET`, `POST`, `DELETE /_local/faults` | see them, switch one on, switch all off |
| `GET`, `DELETE /_local/requests` | the newest as they came (`count`, `prefix`), without keys |

```
curl -X PUT  $ADDRESS/_local/clock  -d '{{"at": "2026-01-01T00:00:00Z", "stand": true}}'
curl -X PUT  $ADDRESS/_local/clock  -d '{{"advance_s": 60}}'
curl -X POST $ADDRESS/_local/faults -d '{{"kind": "rate_limit", "prefix": "/api/", "count": 3}}'
curl -X POST $ADDRESS/_local/faults -d '{{"kind": "error", "status": 503}}'
curl -X POST $ADDRESS/_local/faults -d '{{"kind": "delay", "seconds": 2}}'
curl -X POST $ADDRESS/_local/faults -d '{{"kind": "drop_dogstatsd", "share": 0.1}}'
```

## How alike

{total} of {all} recorded interactions with the real API are in scope. Replayed, the status is the
same in {status:.1f} %; of the recorded paths {paths:.1f} % are there with the same type; of the
recorded values (ids, times, authors and links left out) {values:.1f} % are the same; {extra:.1f} %
paths are there that were not recorded.

Not in scope are:

{out_of_scope}

What differs most often: recordings of 2025 and before carry `is_read_only` on dashboards, and none
of them `draft_status` and `assets` on monitors; here the newest recordings are followed. A few
organisations have fields of their own (`run_as`, `avalanche_window`).

## Endpoints

Faithful: recorded, and answered with the same status and at least {faithful:.0f} % of the recorded
paths. Partial: answered by the documentation, not (or less well) by recordings. Absent: 404.
"""


@cache
def _place(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]+\}", path)
    return re.compile("[^/]+".join(map(re.escape, parts)))


def _operation_of(request: dict[str, str]) -> str:
    """The route that a request meets, the first as the server has it; else how its path begins."""
    for route in ROUTES:
        if route.method == request["method"] and _place(route.path).fullmatch(request["path"]):
            return route.operation
    start = "/".join(request["path"].split("/")[:5])
    return f"{request['method']} {start}"


def _state_of(operation: str, served: bool, scores: dict[str, Score]) -> str:
    if not served:
        return "absent"
    score = scores.get(operation)
    if score is None:
        return "partial: no recording"
    if score.ratios["status"] == 100 and score.ratios["paths"] >= FAITHFUL_PATHS:
        return "faithful"
    return f"partial: {score.ratios['paths']:.0f} % of the paths"


def _rows(scores: dict[str, Score]) -> Iterator[str]:
    served = {_anonymous(route.operation): route.operation for route in ROUTES}
    for title, calls in documented_calls().items():
        yield f"\n### {title}\n"
        yield "| call | state | recorded |"
        yield "|---|---|---|"
        for call in calls:
            own = served.get(_anonymous(call))
            count = scores[own].counts["interactions"] if own in scores else 0
            state = _state_of(own or call, own is not None, scores)
            yield f"| `{call}` | {state} | {count or ''} |"
    known = {_anonymous(call) for calls in documented_calls().values() for call in calls}
    more = [route for route in ROUTES if _anonymous(route.operation) not in known]
    yield "\n### Of older clients\n"
    yield "| call |"
    yield "|---|"
    yield from (f"| `{one.operation}` |" for one in more if one.path.startswith("/api/"))


def _anonymous(operation: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", operation)


def _reasons(left_out: Iterable[Scored]) -> Iterator[str]:
    by_reason: Counter[str] = Counter()
    examples: dict[str, set[str]] = defaultdict(set)
    for one in left_out:
        assert one.reason is not None
        head, _, rest = one.reason.partition(" ")
        reason = "data sources that are not kept here" if head == "data" else one.reason
        by_reason[reason] += 1
        detail = rest.split(":")[0].removeprefix("source ") if head == "data" else ""
        examples[reason].add(detail or f"`{_operation_of(one.request)}`")
    for reason, count in by_reason.most_common():
        yield f"* {count}: {reason} ({', '.join(sorted(examples[reason]))})"


def render_page() -> str:
    """The page as Markdown, with a newline at its end."""
    with running_local_datadog(seed=1) as local:
        scored = list(score_recordings(replay_tool(), local.address))
    scores: dict[str, Score] = {}
    total = Score()
    for one in scored:
        if one.score:
            operation = _operation_of(one.request)
            scores[operation] = scores.get(operation, Score()) + one.score
            total += one.score
    head = _HEAD.format(
        total=total.counts["interactions"],
        all=len(scored),
        out_of_scope="\n".join(_reasons(one for one in scored if one.reason)),
        faithful=FAITHFUL_PATHS,
        **total.ratios,
    )
    return "\n".join([head, *_rows(scores)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render_page())
