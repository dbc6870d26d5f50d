"""The frame around every stage of the stream job: its range, its lease, its time, its failure.

A stage that fails frees its lane with the reason, sends what it can say about that, and fails the
run; the sensor asks for the same range again after a while.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import dagster as dg
import structlog

from pettwin_pipeline.adapters.ledger_records import Lease, RangeRecord
from pettwin_pipeline.batches import OffsetRange
from pettwin_pipeline.defs.planning import request_ranges
from pettwin_pipeline.defs.ports import Ports
from pettwin_pipeline.defs.renewal import Renewal
from pettwin_pipeline.defs.tables import show_table
from pettwin_pipeline.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    DeliveryFailedError,
    LeaseLostError,
    LedgerUnreachableError,
    OffsetsMovedError,
    PettwinError,
    RangeNotReadError,
    TopicMissingError,
    UnknownFormatError,
)
from pettwin_pipeline.metrics.points import Recorder, encode_points

RANGE_TAG: Final = "pettwin/range_id"
ATTEMPT_TAG: Final = "pettwin/attempt"
LANE_TAG: Final = "pettwin/lane"
STAGES: Final = ("ingest", "score", "explain", "publish")
"""The stages that leave points behind, in the order of the flow."""

_REASONS: Final[Mapping[type[BaseException], str]] = {
    BrokerUnreachableError: "broker",
    BrokerRefusedError: "broker",
    TopicMissingError: "broker",
    DeliveryFailedError: "broker",
    OffsetsMovedError: "broker",
    RangeNotReadError: "timeout",
    LeaseLostError: "lease_lost",
    LedgerUnreachableError: "ledger",
    UnknownFormatError: "storage",
    OSError: "storage",
}

log = structlog.get_logger()


@dataclass(slots=True)
class Work:
    """What a stage works on."""

    record: RangeRecord
    lease: Lease
    ports: Ports
    renewal: Renewal
    recorder: Recorder = field(default_factory=Recorder)
    counts: dict[str, Any] = field(default_factory=dict)
    """What the stage counted, for the ledger."""
    elsewhere_ms: float = 0.0
    """Time of this stage that is reported under another name."""
    holds_lane: bool = True
    """False once the stage handed it back, because the range is done or is to be tried again."""

    @property
    def range(self) -> OffsetRange:
        """The offsets."""
        return self.record.range

    def renew(self) -> None:
        """Hold the lane for longer.

        Raises:
            LeaseLostError: another run holds it now: this one may write nothing more.
        """
        self.renewal.now()

    def counts_of(self, *stages: str) -> dict[str, Any]:
        """What earlier stages of this range counted."""
        counts: dict[str, Any] = {}
        for stage in stages:
            counts |= json.loads(self.ports.files.read_json(self.range, f"counts_{stage}"))
        return counts

    @contextmanager
    def timed_as(self, stage: str) -> Iterator[None]:
        """Report the time of the block under a stage of its own."""
        began = time.perf_counter()
        yield
        elapsed_ms = (time.perf_counter() - began) * 1000
        self.elsewhere_ms += elapsed_ms
        _record_time(self.recorder, stage, elapsed_ms, "success")

    def give_up(self, why: str) -> None:
        """Free the lane: the range is tried again after a while."""
        self.ports.ledger.fail(self.record, self.lease, why, self.ports.now_s)
        self.holds_lane = False

    def note_check(self, check: dg.AssetCheckResult) -> None:
        """Count the result of an asset check."""
        record_check(self.recorder, check)


def record_check(recorder: Recorder, check: dg.AssetCheckResult) -> None:
    """Count the result of an asset check."""
    recorder.count(
        "dagster.asset.checks",
        1,
        check=str(check.check_name),
        outcome="passed" if check.passed else "failed",
        severity=check.severity.value.lower(),
    )


def done_before(context: dg.AssetExecutionContext, ports: Ports) -> RangeRecord | None:
    """The range of a run that was executed again after its range was done."""
    tags = context.run.tags
    record = ports.ledger.of_id(int(tags[RANGE_TAG])) if RANGE_TAG in tags else None
    return record if record is not None and record.status == "done" else None


@contextmanager
def told_plainly() -> Iterator[None]:
    """Fail a step with the one line of an error that a person can mend, without its traceback."""
    try:
        yield
    except PettwinError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def take_range(context: dg.AssetExecutionContext, ports: Ports) -> None:
    """Take the lane for the range that this run was asked for, or for the next one by hand.

    Raises:
        dg.Failure: by hand and there is nothing to do, or the range is not wanted any more.
    """
    with told_plainly():
        record, attempt = _asked_for(context, ports)
        lease_s = ports.settings.pettwin_lease_s
        ports.ledger.begin(record, attempt, context.run.run_id, ports.now_s, lease_s)


def _asked_for(context: dg.AssetExecutionContext, ports: Ports) -> tuple[RangeRecord, int]:
    tags = context.run.tags
    if RANGE_TAG in tags:
        record = ports.ledger.of_id(int(tags[RANGE_TAG]))
        if record is None:
            raise dg.Failure(f"the ledger has no range {tags[RANGE_TAG]}", allow_retries=False)
        return record, int(tags[ATTEMPT_TAG])
    requests = request_ranges(ports, most=1)
    if not requests.ranges:
        reason = "; ".join(requests.idle) or "no lane is free"
        raise dg.Failure(f"there is nothing to read by hand: {reason}", allow_retries=False)
    return requests.ranges[0], requests.ranges[0].attempt


def range_of_run(context: dg.AssetExecutionContext, ports: Ports) -> RangeRecord:
    """The range that this run took.

    Raises:
        dg.Failure: it took none, or another run works on it now.
    """
    record = ports.ledger.of_run(context.run.run_id)
    if record is None and RANGE_TAG in context.run.tags:
        told = "another run works on the range of this one: it may write nothing more"
        raise dg.Failure(told, allow_retries=False)
    if record is None:
        raise dg.Failure(
            "this run holds no range: materialise from telemetry_batch on, or leave it to the "
            "sensor new_readings",
            allow_retries=False,
        )
    return record


@contextmanager
def working(context: dg.AssetExecutionContext, ports: Ports, stage: str) -> Iterator[Work]:
    """Run a stage on the range of this run, while it holds the lane."""
    with told_plainly():
        record = range_of_run(context, ports)
        lease = ports.ledger.lease_of(record, context.run.run_id)
        work = Work(record, lease, ports, _renewal(ports, lease))
        work.renew()
    began = time.perf_counter()
    try:
        with work.renewal:
            yield work
        if work.holds_lane:
            work.renew()
        elapsed_ms = (time.perf_counter() - began) * 1000 - work.elsewhere_ms
        _record_time(work.recorder, stage, elapsed_ms, "success")
        points = encode_points(work.recorder.drain())
        ports.files.write_json(work.range, f"points_{stage}", points)
        ports.files.write_json(work.range, f"counts_{stage}", json.dumps(work.counts).encode())
    except BaseException as error:  # a run that is cancelled frees its lane too
        _note_failure(work, stage, (time.perf_counter() - began) * 1000, error)
        if isinstance(error, PettwinError):
            raise dg.Failure(str(error), allow_retries=False) from None
        raise


def _renewal(ports: Ports, lease: Lease) -> Renewal:
    ledger, lease_s = ports.ledger, ports.settings.pettwin_lease_s
    return Renewal(lambda: ledger.renew(lease, ports.now_s, lease_s), lease_s / 3)


def _record_time(recorder: Recorder, stage: str, elapsed_ms: float, outcome: str) -> None:
    recorder.distribution("pipeline.stage.latency", [elapsed_ms], stage=stage, outcome=outcome)


def _note_failure(work: Work, stage: str, elapsed_ms: float, error: BaseException) -> None:
    ports = work.ports
    text = str(error) or type(error).__name__
    recorder = Recorder()
    _record_time(recorder, stage, elapsed_ms, "failed")
    recorder.count("pipeline.errors", 1, stage=stage, reason=_reason(error))
    # Neither a full disk nor a ledger that is away may hide why the stage failed: what cannot be
    # noted now shows when the lease runs out.
    with suppress(OSError):
        log.error("stage_failed", stage=stage, range=work.range.text, error=text)
    with suppress(LedgerUnreachableError):
        ports.ledger.fail(work.record, work.lease, f"{stage}: {text}", ports.now_s)
        ports.send(recorder.drain(), host=f"lane-{work.range.lane}")


def _reason(error: BaseException) -> str:
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), "other")


def describe_range(record: RangeRecord) -> dict[str, Any]:
    """The offset range and the attempt, as metadata."""
    parts = [asdict(part) for part in record.range.parts]
    return {
        "offset_range": show_table(parts, dict.fromkeys(("partition", "start", "end"), "int")),
        "offsets": record.range.offsets,
        "lane": record.range.lane,
        "attempt": record.attempt,
        "epoch": record.range.epoch,
    }
