"""How owners are told of alerts: the channels behind one protocol, and one round of deliveries.

Nothing here is in the way of the stream: a delivery that fails stays in the outbox and is tried
again later. Knows the outbox and the channels; when a round is due is decided in `defs`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import msgspec

from pettwin_pipeline.adapters.ledger_outbox import Notification, Outbox
from pettwin_pipeline.settings import Settings

ChannelName = Literal["webhook", "file"]

MOST: Final = 100
"""Attempts of one channel in one round."""
STARTS_FOR_S: Final = 5.0
"""No attempt of a channel begins later in its turn: one that hangs lasts as long as its timeout."""
FAILURES_IN_A_ROW: Final = 3
"""After these a channel is left alone until the next round."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a channel did not take a notification.

    Attributes:
        text: for people, in one line, without secrets.
        wait_s: how long the receiver asks to be left alone; None where it asks for nothing.
    """

    text: str
    wait_s: float | None = None


class Channel(Protocol):
    """Tells somebody. Never raises for what happens outside, and is done in bounded time."""

    @property
    def name(self) -> ChannelName:
        """The value of the tag channel, and the name in the outbox."""

    @property
    def peer(self) -> str | None:
        """The value of the tag peer of its requests; None where it makes none."""

    def deliver(self, one: Notification, now_s: float) -> Failure | None:
        """Hand a notification over; None where that went well."""

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt; `failure` is None where the channel took the notification."""

    notification: Notification
    peer: str | None
    failure: Failure | None
    is_given_up: bool
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Round:
    """What came of a round of deliveries.

    Attributes:
        unconfigured: notifications that were given up because their channel is none any more.
    """

    attempts: Sequence[Attempt]
    unconfigured: int

    @property
    def delivered(self) -> int:
        """Notifications that were handed over."""
        return len(self.attempts) - self.failed

    @property
    def failed(self) -> int:
        """Attempts in vain."""
        return sum(one.failure is not None for one in self.attempts)

    @property
    def given_up(self) -> int:
        """Notifications that are not tried again."""
        return self.unconfigured + sum(one.is_given_up for one in self.attempts)


def encode_notification(one: Notification, env: str, service: str) -> bytes:
    """The alert as it is on its topic, and in it `notification_id`, `env` and `service`. JSON."""
    alert = msgspec.json.decode(one.body, type=dict[str, msgspec.Raw])
    ours = {"notification_id": one.alert_id, "env": env, "service": service}
    return msgspec.json.encode({**ours, **alert})


@contextmanager
def open_channels(settings: Settings) -> Iterator[Sequence[Channel]]:
    """The channels that the settings name, those that cannot hang first, while the block runs."""
    env, service = settings.dd_env, settings.dd_service
    channels: list[Channel] = []
    if settings.notify_file is not None:
        from pettwin_pipeline.adapters.notification_file import NotificationFile

        channels.append(NotificationFile(settings.notify_file, env=env, service=service))
    if settings.webhook is not None:
        from pettwin_pipeline.adapters.webhook import Webhook

        secret = settings.pettwin_webhook_secret
        channels.append(Webhook(settings.webhook, secret, env=env, service=service))
    try:
        yield channels
    finally:
        for one in channels:
            one.close()


def deliver_due(
    outbox: Outbox,
    channels: Sequence[Channel],
    clock: Callable[[], float],
    monotonic: Callable[[], float] = time.monotonic,
) -> Round:
    """Try what is due, one channel after the other, each for a bounded time.

    Args:
        outbox: of the ledger.
        channels: all that there are: what waits for others is given up in the end.
        clock: seconds since 1970, UTC.
        monotonic: seconds of the clock that bounds the round.
    """
    unconfigured = outbox.give_up_unconfigured([one.name for one in channels], clock())
    attempts = [attempt for one in channels for attempt in _turn_of(one, outbox, clock, monotonic)]
    return Round(attempts, unconfigured)


def _turn_of(
    channel: Channel, outbox: Outbox, clock: Callable[[], float], monotonic: Callable[[], float]
) -> list[Attempt]:
    """What one channel is tried with in a round."""
    attempts: list[Attempt] = []
    in_a_row = 0
    ends_s = monotonic() + STARTS_FOR_S
    while len(attempts) < MOST and in_a_row < FAILURES_IN_A_ROW and monotonic() < ends_s:
        one = outbox.claim(channel.name, clock())
        if one is None:
            break
        began_s = monotonic()
        failure = channel.deliver(one, clock())
        elapsed_ms = (monotonic() - began_s) * 1000
        is_given_up = False
        if failure is None:
            in_a_row = 0
            outbox.delivered(one, clock())
        else:
            in_a_row += 1
            status = outbox.failed(one, failure.text, clock(), failure.wait_s)
            is_given_up = status == "given_up"
        attempts.append(Attempt(one, channel.peer, failure, is_given_up, elapsed_ms))
        if failure is not None and failure.wait_s is not None:
            break
    return attempts
