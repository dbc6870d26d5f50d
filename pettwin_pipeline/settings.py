"""The only reader of the environment: every setting, and which services are real and which local.

A setting is one environment variable, or a line in `.env` of the current folder where there is no
such variable; an empty variable means the default. A wrong value is an error that names the
variable, the value and what is allowed; an unknown `PETTWIN_...` is an error as well, because a
misspelt setting that is silently ignored costs a night. Secrets are `SecretStr` and never print.
Knows no service, only addresses and keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import platformdirs
from pydantic import (
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from pettwin_pipeline.environment import read_environment, refuse_unknown
from pettwin_pipeline.errors import BrokerUnreachableError, NoBrokerError, SettingsError
from pettwin_pipeline.settings_fields import SettingsFields
from pettwin_pipeline.state import StateFolder, find_state_root
from pettwin_pipeline.webhook_address import WebhookAddress, parse_hosts, parse_webhook_address

SQLITE_LANES: Final = 4
"""More runs than these would wait for one another at a ledger in SQLite."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and what can be expected of it."""

    bootstrap: str
    kind: Literal["kafka", "embedded"]
    epoch: str
    """Given for the embedded broker; empty for Kafka, whose topic id is asked of the broker."""
    source: str
    """Where the address comes from, for people."""


@dataclass(frozen=True, slots=True)
class Service:
    """One line of "what is real and what is local"."""

    name: str
    state: Literal["real", "local", "none"]
    detail: str


class Settings(SettingsFields):
    """Every setting of the pipeline, checked. `Settings.load()` reads them."""

    @model_validator(mode="before")
    @classmethod
    def _sasl_by_username(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("kafka_sasl_username"):
            data.setdefault("kafka_security_protocol", "SASL_SSL")
        return data

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.kafka_sasl_username is None) != (self.kafka_sasl_password is None):
            raise ValueError("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD go together: set both")
        if self.kafka_security_protocol.startswith("SASL_") != bool(self.kafka_sasl_username):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol!r}: SASL_SSL and "
                "SASL_PLAINTEXT go together with KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        if len(set(self.topics)) < len(self.topics):
            raise ValueError(
                f"the topics {', '.join(self.topics)} must differ: KAFKA_TOPIC, "
                "KAFKA_ALERTS_TOPIC, KAFKA_LABELS_TOPIC, KAFKA_DEAD_LETTER_TOPIC"
            )
        if self.pettwin_metrics == "http" and self.dd_api_key is None:
            raise ValueError("PETTWIN_METRICS=http needs DD_API_KEY")
        url = self.pettwin_ledger_url
        shared = url is not None and url.get_secret_value().startswith("postgresql")
        if self.pettwin_lanes > SQLITE_LANES and not shared:
            raise ValueError(
                f"PETTWIN_LANES={self.pettwin_lanes}: more than {SQLITE_LANES} lanes need a ledger "
                "in PostgreSQL: set PETTWIN_LEDGER_URL=postgresql+psycopg://..."
            )
        return self

    @model_validator(mode="after")
    def _may_notify(self) -> Self:
        allowed = f"PETTWIN_WEBHOOK_HOSTS={self.pettwin_webhook_hosts!r}"
        try:
            parse_hosts(self.pettwin_webhook_hosts)
        except ValueError as error:
            raise ValueError(f"{allowed}: {error}") from None
        try:
            _ = self.webhook
        except ValueError as error:  # the address may hold a secret
            raise ValueError(f"PETTWIN_WEBHOOK_URL=(secret): {error}; {allowed}") from None
        secret = self.pettwin_webhook_secret
        if secret is not None and not secret.get_secret_value().strip():
            raise ValueError("PETTWIN_WEBHOOK_SECRET=(secret): it is blank: nothing can be signed")
        try:
            _ = self.notify_file
        except RuntimeError as error:
            raise ValueError(f"PETTWIN_NOTIFY_FILE={self.pettwin_notify_file!r}: {error}") from None
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands in: it alone decides what is read, and from where."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def names(cls) -> frozenset[str]:
        """Every environment variable that is a setting."""
        return frozenset(field.upper() for field in cls.model_fields)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment and `.env`.

        Args:
            environ: instead of the process's environment and `.env`; for tests.

        Raises:
            SettingsError: a setting is unknown or wrong; one line for each of them.
        """
        given = read_environment() if environ is None else environ
        refuse_unknown(given, cls.names())
        try:
            return cls(**_by_field(given))
        except ValidationError as error:
            raise SettingsError("\n".join(_explain(error))) from None

    @property
    def state(self) -> StateFolder:
        """The folder of everything that is kept on disk, absolute."""
        root = self.pettwin_state_dir or find_state_root(
            Path.cwd(), Path(platformdirs.user_state_dir("pettwin", appauthor=False))
        )
        return StateFolder(root.absolute())

    @property
    def dead_letter_topic(self) -> str:
        """Where rejects go."""
        return self.kafka_dead_letter_topic or f"{self.kafka_topic}.dlq"

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics: readings, alerts, labels, dead letters."""
        return (
            self.kafka_topic,
            self.kafka_alerts_topic,
            self.kafka_labels_topic,
            self.dead_letter_topic,
        )

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        if self.pettwin_ledger_url is not None:
            return self.pettwin_ledger_url.get_secret_value()
        return f"sqlite:///{self.state.ledger_file}"

    @property
    def data_url(self) -> str:
        """The fsspec path below which readings, scores and baselines lie."""
        return self.pettwin_data_url or str(self.state.data)

    @property
    def webhook(self) -> WebhookAddress | None:
        """Where alerts are posted to; its host is on the allow-list."""
        if self.pettwin_webhook_url is None:
            return None
        address = self.pettwin_webhook_url.get_secret_value().strip()
        return parse_webhook_address(address, self.webhook_hosts)

    @property
    def webhook_hosts(self) -> frozenset[str]:
        """The hosts that alerts and the local Datadog's webhooks may be posted to."""
        return parse_hosts(self.pettwin_webhook_hosts)

    @property
    def notify_file(self) -> Path | None:
        """The file that alerts are written to; a relative path is one in the state folder."""
        if self.pettwin_notify_file == "none":
            return None
        name = Path(self.pettwin_notify_file or "notifications.ndjson").expanduser()
        return self.state.root / name

    @property
    def notify_channels(self) -> tuple[Literal["webhook", "file"], ...]:
        """How owners are told of alerts."""
        chosen: dict[Literal["webhook", "file"], object] = {
            "file": self.notify_file,
            "webhook": self.webhook,
        }
        return tuple(name for name, place in chosen.items() if place is not None)

    @property
    def watch_pets(self) -> tuple[str, ...]:
        """The watch list, sorted, without repeats."""
        return tuple(
            sorted({name for part in self.pettwin_watch_pets.split(",") if (name := part.strip())})
        )

    @property
    def metrics_transport(self) -> Literal["dogstatsd", "http", "none"]:
        """How points travel, decided."""
        if self.pettwin_metrics != "auto":
            return self.pettwin_metrics
        if self.dd_dogstatsd_url or self.dd_agent_host:
            return "dogstatsd"
        if self.dd_api_key:
            return "http"
        return "dogstatsd" if self.local_dogstatsd else "none"

    @property
    def local_dogstatsd(self) -> str | None:
        """`host:port` of the running stack's local Datadog, where no other one is named."""
        named = self.dd_dogstatsd_url or self.dd_agent_host or self.dd_api_key
        if named or self.pettwin_metrics != "auto":
            return None
        stack = self.state.read_stack()
        return stack.addresses.get("dogstatsd") if stack else None

    def broker(self) -> Broker:
        """The broker: KAFKA_BOOTSTRAP_SERVERS, else what `pettwin up` runs.

        Raises:
            NoBrokerError: neither is there.
        """
        if self.kafka_bootstrap_servers:
            return Broker(self.kafka_bootstrap_servers, "kafka", "", "KAFKA_BOOTSTRAP_SERVERS")
        stack = self.state.read_stack()
        if stack is None or not stack.broker:
            raise NoBrokerError(
                "no broker: start one with `pettwin up`, or set KAFKA_BOOTSTRAP_SERVERS "
                f"(looked for a running stack in {self.state.root})"
            )
        return Broker(stack.broker, stack.broker_kind, stack.epoch, str(self.state.stack_file))

    def services(self) -> tuple[Service, ...]:
        """Which services are real, which local and which absent, for logs, status and metadata."""
        try:
            broker = self.broker()
        except BrokerUnreachableError as error:
            kafka = Service("kafka", "none", str(error))
        else:
            label = {"embedded": "embedded broker", "kafka": "Apache Kafka"}[broker.kind]
            real = self.kafka_bootstrap_servers is not None
            kafka = Service("kafka", "real" if real else "local", f"{label} at {broker.bootstrap}")
        transport, local = self.metrics_transport, self.local_dogstatsd
        metrics = {
            "dogstatsd": Service("datadog", "real", f"DogStatsD to {self._dogstatsd_address}")
            if local is None
            else Service("datadog", "local", f"DogStatsD to the local Datadog at {local}"),
            "http": Service("datadog", "real", f"HTTP to {self.datadog_host or self.dd_site}"),
            "none": Service(
                "datadog", "none", "points are counted, not sent: see `pettwin status`"
            ),
        }[transport]
        model = Service("model", "none", "verdicts are statistical: no model is asked")
        return kafka, metrics, model, self._notifications()

    def _notifications(self) -> Service:
        webhook, file = self.webhook, self.notify_file
        places = [f"webhook at {webhook.where}"] if webhook else []
        places += [f"file {file}"] if file else []
        if not places:
            return Service("notifications", "none", "owners are told nothing: see the alerts topic")
        told = f"{' and '.join(places)}, from severity {self.pettwin_notify_from} on"
        is_real = webhook is not None and not webhook.is_local
        return Service("notifications", "real" if is_real else "local", told)

    @property
    def _dogstatsd_address(self) -> str:
        return (
            self.dd_dogstatsd_url or f"{self.dd_agent_host or '127.0.0.1'}:{self.dd_dogstatsd_port}"
        )


def _by_field(environ: Mapping[str, str | None]) -> dict[str, Any]:
    """Values by field. An empty one means: the default, whatever `.env` says."""
    names = {name.lower(): value for name, value in environ.items() if value}
    return {field: names[field] for field in Settings.model_fields if field in names}


def _explain(error: ValidationError) -> list[str]:
    """One line for each variable: its name, its value and what is allowed."""
    lines: dict[str, list[str]] = {}
    for problem in error.errors(include_url=False):
        text = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines[text] = []
            continue
        field = str(problem["loc"][0]).lower()
        secret = "SecretStr" in str(Settings.model_fields[field].annotation)
        value = "(secret)" if secret else repr(problem["input"])
        told = lines.setdefault(f"{field.upper()}={value}", [])
        told.append(f"{text[0].lower()}{text[1:]}")
    return [": ".join([name, "; or ".join(told)]) if told else name for name, told in lines.items()]
