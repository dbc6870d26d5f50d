"""The connection to a broker: what every client is given, and its errors as ours.

One place says which error of the library means that the broker refuses, is silent, or that a topic
is missing, and what to do about each. Knows clients, not what they are used for.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from pettwin_pipeline.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    PettwinError,
    TopicMissingError,
)
from pettwin_pipeline.settings import Broker, Settings

_Answer = TypeVar("_Answer")
CONSUMER: Final[Mapping[str, Any]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    "queued.max.messages.kbytes": 65536,
    "fetch.wait.max.ms": 50,
    # By default the client sleeps for a second whenever 100,000 messages wait to be taken: a range
    # is read four times as fast without that (benchmarks/stream.py).
    "fetch.queue.backoff.ms": 5,
}
"""What a consumer is given besides: committed messages only, and nothing is committed."""
_REFUSALS: Final = frozenset(
    {
        ck.KafkaError._AUTHENTICATION,  # noqa: SLF001  the library's public name for it
        ck.KafkaError.SASL_AUTHENTICATION_FAILED,
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
        ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        ck.KafkaError._SSL,  # noqa: SLF001
    }
)
_MISSING: Final = frozenset(
    {ck.KafkaError.UNKNOWN_TOPIC_OR_PART, ck.KafkaError._UNKNOWN_TOPIC}  # noqa: SLF001
)
_SILENCE: Final = frozenset({ck.KafkaError._TRANSPORT, ck.KafkaError._TIMED_OUT})  # noqa: SLF001
_ALL_DOWN: Final = ck.KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001  why is told before or after
_PASSING: Final = frozenset(
    {
        ck.KafkaError.NOT_COORDINATOR,
        ck.KafkaError.COORDINATOR_NOT_AVAILABLE,
        ck.KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        ck.KafkaError.LEADER_NOT_AVAILABLE,
        ck.KafkaError.NOT_LEADER_FOR_PARTITION,
        ck.KafkaError.FENCED_LEADER_EPOCH,
        ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""Passes by itself, but the library does not always wait for it: a group's first commit meets it,
and whoever asks a broker that has just begun."""
_PASSING_PAUSE_S: Final = 0.1
_NOT_ALONE: Final = frozenset(
    {
        ck.KafkaError.UNKNOWN_MEMBER_ID,
        ck.KafkaError.ILLEGAL_GENERATION,
        ck.KafkaError.NON_EMPTY_GROUP,
        ck.KafkaError.REBALANCE_IN_PROGRESS,
    }
)


class Connection:
    """One broker and what went wrong with it lately.

    Args:
        settings: addresses, keys, the group, how long a call may take.
        broker: where it is.
    """

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self.broker = broker
        self.timeout_s = settings.kafka_timeout_s
        self.group = settings.kafka_consumer_group
        self.config: dict[str, Any] = client_config(settings, broker) | {"error_cb": self._on_error}
        self._last_error: ck.KafkaError | None = None
        self._admin: AdminClient | None = None

    def _on_error(self, error: ck.KafkaError) -> None:
        seen = self._last_error
        if seen is None or seen.code() == _ALL_DOWN or error.code() in _REFUSALS:
            self._last_error = error

    def forget(self) -> None:
        """Begin anew: what went wrong before is not the reason of what goes wrong next."""
        self._last_error = None

    def close(self) -> None:
        """Leave the broker."""
        self._admin = None

    @property
    def admin(self) -> AdminClient:
        """The admin client."""
        if self._admin is None:
            self._admin = self.made(AdminClient, self.config)
        return self._admin

    def made(self, kind: Callable[[dict[str, Any]], Any], config: dict[str, Any]) -> Any:
        """A client; a setting that the library does not take is named by its own error."""
        try:
            return kind(config)
        except ck.KafkaException as error:
            raise BrokerRefusedError(
                f"no connection to {self.broker.bootstrap} can be made: {error.args[0].str()}; "
                "look at the settings KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_... and KAFKA_SSL_..."
            ) from None

    def result(self, future: Any) -> Any:
        """What an admin call came to, or its error as ours."""
        try:
            return future.result(timeout=self.timeout_s)
        except ck.KafkaException as error:
            raise self.ours(error.args[0]) from None
        except TimeoutError:
            raise self.ours(None) from None

    def once_settled(self, ask: Callable[[], _Answer]) -> _Answer:
        """The answer; asked again while the broker says what passes by itself."""
        end_s = time.monotonic() + self.timeout_s
        while True:
            try:
                return ask()
            except ck.KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > end_s:
                    raise self.ours(error.args[0]) from None
                time.sleep(_PASSING_PAUSE_S)
            except TimeoutError:
                raise self.ours(None) from None

    def told(self) -> str:
        """What went wrong with the connection meanwhile, as the end of a sentence."""
        return "" if self._last_error is None else f" ({self._last_error.str()})"

    def refusal(self) -> BrokerRefusedError | None:
        """That the broker refused, where it did."""
        seen = self._last_error
        if seen is None or seen.code() not in _REFUSALS:
            return None
        return BrokerRefusedError(
            f"the broker at {self.broker.bootstrap} refuses: {seen.str()}{_where_to_look(seen)}"
        )

    def ours(self, error: ck.KafkaError | None) -> PettwinError:
        """What an error of the library means here; None: there was no answer in time."""
        if self._admin is not None:
            self._admin.poll(0)  # takes in what went wrong with the connection
        if error is not None and error.code() in _REFUSALS:
            self._last_error = error
        refusal = self.refusal()
        if refusal is not None:
            return refusal
        if self._last_error is not None and (error is None or error.code() in _SILENCE):
            error = self._last_error
        text = "no answer in time" if error is None else error.str()
        if error is not None and error.code() in _MISSING:
            return TopicMissingError(f"{text}: `pettwin topics create` makes the topics")
        if error is not None and error.code() in _NOT_ALONE:
            return BrokerRefusedError(
                f"{text}: somebody else reads with the consumer group {self.group}, which is ours "
                "alone; stop them, or name another one with KAFKA_CONSUMER_GROUP"
            )
        if error is not None and error.code() > 0 and not error.retriable():
            return BrokerRefusedError(f"the broker at {self.broker.bootstrap} refuses: {text}")
        hint = "" if error is None else _where_to_look(error)
        return BrokerUnreachableError(
            f"the broker at {self.broker.bootstrap} (from {self.broker.source}) does not answer: "
            f"{text}{hint}"
        )


def _where_to_look(error: ck.KafkaError) -> str:
    """The settings that an error is about, as the end of a sentence; empty where it is none."""
    text = error.str()
    if "certificate verify failed" in text:
        return "; look at KAFKA_SSL_CA_LOCATION"
    if "alert" in text and "certificate" in text:
        return (
            "; it wants a certificate of ours: look at KAFKA_SSL_CERTIFICATE_LOCATION and "
            "KAFKA_SSL_KEY_LOCATION"
        )
    if error.code() in _REFUSALS:
        return "; look at KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
    if "SSL_" in text or error.code() == _ALL_DOWN:  # connected and let go of without a word
        return "; is KAFKA_SECURITY_PROTOCOL that of this listener?"
    return ""


def client_config(settings: Settings, broker: Broker) -> dict[str, Any]:
    """What every client of librdkafka is given."""
    config: dict[str, Any] = {
        "bootstrap.servers": broker.bootstrap,
        "client.id": settings.dd_service,
        "log_level": 0,  # errors come as exceptions; librdkafka's own lines say it twice
        "socket.keepalive.enable": True,
        "socket.timeout.ms": round(settings.kafka_timeout_s * 1000),
    }
    if broker.kind == "embedded" or not settings.kafka_bootstrap_servers:
        return config
    config["security.protocol"] = settings.kafka_security_protocol
    if settings.kafka_sasl_username and settings.kafka_sasl_password:
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    if settings.kafka_ssl_ca_location:
        config["ssl.ca.location"] = settings.kafka_ssl_ca_location
    if settings.kafka_ssl_certificate_location:
        config["ssl.certificate.location"] = settings.kafka_ssl_certificate_location
    if settings.kafka_ssl_key_location:
        config["ssl.key.location"] = settings.kafka_ssl_key_location
    return config
