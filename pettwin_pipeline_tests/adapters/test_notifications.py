"""One round of deliveries: what is tried, in which bounds, and what the outbox knows after it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.ledger import Ledger
from pettwin_pipeline.adapters.ledger_outbox import GIVE_UP_AFTER_S, Audience, Notification
from pettwin_pipeline.adapters.notifications import (
    FAILURES_IN_A_ROW,
    MOST,
    STARTS_FOR_S,
    Channel,
    ChannelName,
    Failure,
    Round,
    deliver_due,
    open_channels,
)
from pettwin_pipeline.settings import Settings
from pettwin_pipeline_tests.adapters.ledgers import NOW_S, alert, begun, finish, requested

pytestmark = pytest.mark.usefixtures("database")


@dataclass
class Clock:
    """Goes on only when a channel says so."""

    passed_s: float = 0.0

    def monotonic(self) -> float:
        """Seconds since the test began."""
        return self.passed_s

    def now_s(self) -> float:
        """Seconds since 1970."""
        return NOW_S + self.passed_s


@dataclass
class Receiver:
    """A channel that answers as it is told, and takes its time."""

    name: ChannelName
    clock: Clock
    answer: Callable[[Notification], Failure | None] = lambda _: None
    takes_s: float = 0.0
    peer: str | None = None
    got: list[str] = field(default_factory=list)

    def deliver(self, one: Notification, now_s: float) -> Failure | None:
        """Keep its id."""
        assert now_s == self.clock.now_s()
        self.clock.passed_s += self.takes_s
        self.got.append(one.alert_id)
        return self.answer(one)

    def close(self) -> None:
        """Nothing is held."""


def fails(_: Notification) -> Failure:
    return Failure("no")


def queue(ledger: Ledger, alerts: int, *channels: str, now_s: float = NOW_S) -> None:
    """So many alerts, a0 first."""
    record = requested(ledger, (0, 0, 1))
    lease = begun(ledger, record, "run")
    many = [alert(f"a{number:03d}") for number in range(alerts)]
    finish(ledger, record, lease, now_s, alerts=many, audience=Audience(channels))


def deliver(ledger: Ledger, clock: Clock, *channels: Channel) -> Round:
    return deliver_due(ledger.outbox, channels, clock.now_s, clock.monotonic)


def test_everything_that_is_due_reaches_every_channel_once(ledger: Ledger) -> None:
    queue(ledger, 5, "file", "webhook")
    clock = Clock()
    file, hook = Receiver("file", clock), Receiver("webhook", clock)
    done = deliver(ledger, clock, file, hook)
    assert file.got == hook.got == [f"a{n:03d}" for n in range(5)]
    assert (done.delivered, done.failed, done.given_up) == (10, 0, 0)
    assert deliver(ledger, clock, file, hook).attempts == []


def test_a_failure_stays_in_the_outbox_and_is_tried_later(ledger: Ledger) -> None:
    queue(ledger, 1, "webhook")
    clock = Clock()
    assert deliver(ledger, clock, Receiver("webhook", clock, fails)).failed == 1
    assert ledger.outbox.backlog()["webhook"].error == "no"
    hook = Receiver("webhook", clock)
    assert deliver(ledger, clock, hook).attempts == []
    clock.passed_s += 5
    assert deliver(ledger, clock, hook).delivered == 1


def test_a_channel_that_fails_again_and_again_is_left_alone_and_the_others_go_on(
    ledger: Ledger,
) -> None:
    queue(ledger, 9, "file", "webhook")
    clock = Clock()
    file, hook = Receiver("file", clock, fails), Receiver("webhook", clock)
    done = deliver(ledger, clock, file, hook)
    assert (done.failed, done.delivered) == (FAILURES_IN_A_ROW, 9)
    assert ledger.outbox.backlog()["file"].waiting == 9


def test_one_that_is_refused_for_ever_holds_up_no_other(ledger: Ledger) -> None:
    queue(ledger, 20, "webhook")
    clock = Clock()
    every_third = Receiver(
        "webhook", clock, lambda one: fails(one) if int(one.alert_id[1:]) % 3 == 0 else None
    )
    done = deliver(ledger, clock, every_third)
    assert (done.delivered, done.failed) == (13, 7)


def test_a_receiver_that_asks_for_a_pause_is_left_alone_at_once(ledger: Ledger) -> None:
    queue(ledger, 5, "webhook")
    clock = Clock()
    hook = Receiver("webhook", clock, lambda _: Failure("429", wait_s=600))
    assert deliver(ledger, clock, hook).failed == 1
    clock.passed_s += 599
    assert deliver(ledger, clock, hook).attempts == []
    clock.passed_s += 1
    assert deliver(ledger, clock, Receiver("webhook", clock)).delivered == 5


def test_a_round_is_bounded_in_number(ledger: Ledger) -> None:
    queue(ledger, MOST + 3, "file", "webhook")
    clock = Clock()
    file, hook = Receiver("file", clock), Receiver("webhook", clock)
    assert deliver(ledger, clock, file, hook).delivered == 2 * MOST
    assert deliver(ledger, clock, file, hook).delivered == 6


def test_a_channel_that_hangs_takes_its_own_time_only(ledger: Ledger) -> None:
    queue(ledger, 9, "file", "webhook")
    clock = Clock()
    hook = Receiver("webhook", clock, fails, takes_s=10.0)
    file = Receiver("file", clock)
    done = deliver(ledger, clock, hook, file)
    assert (len(hook.got), len(file.got)) == (1, 9)
    (attempt,) = [one for one in done.attempts if one.failure]
    assert attempt.elapsed_ms == 10_000


def test_no_attempt_of_a_slow_channel_begins_after_its_time(ledger: Ledger) -> None:
    queue(ledger, 9, "webhook")
    clock = Clock()
    hook = Receiver("webhook", clock, takes_s=STARTS_FOR_S / 2)
    assert deliver(ledger, clock, hook).delivered == 2


def test_what_is_given_up_is_counted(ledger: Ledger) -> None:
    queue(ledger, 2, "file", "webhook", now_s=NOW_S - GIVE_UP_AFTER_S)
    clock = Clock()
    done = deliver(ledger, clock, Receiver("file", clock, fails))
    assert (done.failed, done.unconfigured, done.given_up) == (2, 2, 4)
    backlog = ledger.outbox.backlog()
    assert [(one.waiting, one.given_up) for one in backlog.values()] == [(0, 2), (0, 2)]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, ["file"]),
        ({"PETTWIN_NOTIFY_FILE": "none"}, []),
        ({"PETTWIN_WEBHOOK_URL": "http://localhost:1/"}, ["file", "webhook"]),
        ({"PETTWIN_WEBHOOK_URL": "http://[::1]:1/", "PETTWIN_NOTIFY_FILE": "none"}, ["webhook"]),
    ],
)
def test_the_channels_are_those_of_the_settings(
    tmp_path: Path, given: dict[str, str], names: list[str]
) -> None:
    settings = Settings.load({"PETTWIN_STATE_DIR": str(tmp_path), **given})
    with open_channels(settings) as channels:
        assert [one.name for one in channels] == names == list(settings.notify_channels)
