"""Every setting by itself: its name, type, default, what is allowed, what it does.

What settings mean together, and where they are read from, is in `settings`. Knows no service, only
addresses and keys.
"""

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pettwin_pipeline import __version__

DATADOG_SITES: Final = (
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "ddog-gov.com",
)
DatadogSite = Literal[
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "datadoghq.eu",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "ddog-gov.com",
]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,244}$")]
"""What Kafka allows, with room for `.dlq`, and what is good as the name of a folder."""


class SettingsFields(BaseSettings):
    """Every setting by itself."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    # Kafka
    kafka_bootstrap_servers: str | None = Field(
        None, description="host:port[,host:port]; absent: the broker of `pettwin up`"
    )
    kafka_security_protocol: SecurityProtocol = Field(
        "PLAINTEXT", description="SASL_SSL for Confluent Cloud; the default once a username is set"
    )
    kafka_sasl_mechanism: SaslMechanism = Field("PLAIN", description="PLAIN for Confluent Cloud")
    kafka_sasl_username: str | None = Field(None, description="a Confluent Cloud API key")
    kafka_sasl_password: SecretStr | None = Field(None, description="and its secret")
    kafka_ssl_ca_location: str | None = Field(
        None, description="a file of CA certificates, where the system's do not do"
    )
    kafka_ssl_certificate_location: str | None = Field(
        None, description="a file with our certificate, where the broker asks for one"
    )
    kafka_ssl_key_location: str | None = Field(None, description="and its private key")
    kafka_topic: TopicName = Field("pet-health-stream", description="readings")
    kafka_alerts_topic: TopicName = Field("pet-health-alerts", description="alerts")
    kafka_labels_topic: TopicName = Field("pet-health-labels", description="labels")
    kafka_dead_letter_topic: TopicName | None = Field(
        None, description="absent: the topic of readings + .dlq"
    )
    kafka_consumer_group: str = Field(
        "pettwin-pipeline", description="whose offsets are committed; ours alone"
    )
    kafka_timeout_s: float = Field(10.0, gt=0, le=300, description="of one call to the broker")

    # Datadog
    dd_api_key: SecretStr | None = Field(None, description="sends metrics over HTTP")
    dd_app_key: SecretStr | None = Field(None, description="reads and writes dashboards, monitors")
    dd_site: DatadogSite = Field("datadoghq.com", description="the site of the account")
    dd_agent_host: str | None = Field(None, description="host of an Agent (DogStatsD over UDP)")
    dd_dogstatsd_port: int = Field(8125, ge=1, le=65535, description="its port")
    dd_dogstatsd_url: str | None = Field(
        None, description="udp://host:port or unix:///path, instead of host and port"
    )
    datadog_host: str | None = Field(
        None, description="address of the API, instead of DD_SITE's: a proxy or a local server"
    )
    dd_env: str = Field("dev", pattern=r"^[a-z][a-z0-9_.-]{0,63}$", description="tag env")
    dd_service: str = Field(
        "pettwin-pipeline", pattern=r"^[a-z][a-z0-9_.-]{0,63}$", description="tag service"
    )
    dd_version: str = Field(__version__, description="tag version")

    # Google
    google_cloud_project: str | None = Field(None, description="Gemini through Vertex AI")
    google_cloud_location: str = Field("global", description="its location")
    gemini_api_key: SecretStr | None = Field(None, description="Gemini through the Gemini API")
    gemini_model: str = Field("gemini-3.8-flash", description="the model that judges")
    gemini_base_url: str | None = Field(None, description="a proxy or a local server")

    # The pipeline
    pettwin_state_dir: Path | None = Field(
        None, description="absent: .pettwin beside workspace.yaml, else the user's state folder"
    )
    pettwin_ledger_url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; absent: SQLite in the state folder"
    )
    pettwin_data_url: str | None = Field(
        None, description="readings, scores, baselines (any fsspec path); absent: the state folder"
    )
    pettwin_batch_interval_s: int = Field(
        30, ge=5, le=3600, description="seconds between looks at the stream"
    )
    pettwin_batch_max_readings: int = Field(
        200_000, ge=1, le=10_000_000, description="most messages of one batch"
    )
    pettwin_lanes: int = Field(1, ge=1, le=64, description="runs that may work at the same time")
    pettwin_lease_s: int = Field(
        60, ge=10, le=3600, description="a lane is held this long unrenewed"
    )
    pettwin_start: Literal["earliest", "latest"] | AwareDatetime = Field(
        "earliest", description="where a topic is begun that was never read: or a time, ISO 8601"
    )
    pettwin_max_age_h: float = Field(
        168.0,
        gt=0,
        allow_inf_nan=False,
        description="older against its Kafka timestamp: rejected as too_old",
    )
    pettwin_max_ahead_s: float = Field(
        300.0,
        gt=0,
        allow_inf_nan=False,
        description="newer against its Kafka timestamp: rejected as too_new",
    )
    pettwin_snapshot_every: int = Field(
        32, ge=1, le=1000, description="batches from one whole snapshot of baselines to the next"
    )
    pettwin_keep_readings_days: float = Field(
        14.0, gt=0, le=36500, description="readings and scores older than this are removed"
    )
    pettwin_keep_runs_days: float = Field(
        7.0, gt=0, le=36500, description="runs in Dagster older than this are removed"
    )
    pettwin_keep_ledger_days: float = Field(
        90.0,
        gt=0,
        le=36500,
        description="done ranges, ended episodes, their alerts: removed when older",
    )
    pettwin_webhook_url: SecretStr | None = Field(
        None, description="alerts are posted there as JSON; its host must be on the allow-list"
    )
    pettwin_webhook_secret: SecretStr | None = Field(
        None, description="signs what is posted (HMAC-SHA256)"
    )
    pettwin_webhook_hosts: str = Field(
        "127.0.0.1,localhost,::1",
        description="hosts that may be posted to, comma separated; of the local Datadog too",
    )
    pettwin_notify_file: str = Field(
        "",
        description="alerts are written to this file, NDJSON; `none`: to no file; relative or "
        "absent: in the state folder",
    )
    pettwin_notify_from: Literal["low", "medium", "high", "critical"] = Field(
        "medium", description="least severity that the owner is told of"
    )
    pettwin_metrics: Literal["auto", "dogstatsd", "http", "none"] = Field(
        "auto",
        description="how points travel; auto: Agent, else API key, else the local Datadog of the "
        "stack, else counted only",
    )
    pettwin_metric_namespace: str = Field(
        "", pattern=r"^([a-zA-Z][a-zA-Z0-9_.]{0,40})?$", description="put before every metric name"
    )
    pettwin_watch_pets: str = Field(
        "", description="pet ids, comma separated: up to 50 get gauges of their own"
    )

    @field_validator("pettwin_state_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        try:
            return value.expanduser().absolute() if value else None
        except RuntimeError as error:
            raise ValueError(f"allowed: a folder; {error}") from None

    @field_validator("dd_dogstatsd_url", mode="after")
    @classmethod
    def _dogstatsd_scheme(cls, value: str | None) -> str | None:
        allowed = "allowed: udp://host:port or unix:///path/to/socket"
        try:
            parts = urlsplit(value or "unix:///")
            port = parts.port
        except ValueError:
            raise ValueError(allowed) from None
        by_path = parts.scheme == "unix" and parts.path and not parts.netloc
        if not by_path and not (parts.scheme == "udp" and parts.hostname and port != 0):
            raise ValueError(allowed)
        return value

    @field_validator("datadog_host", "gemini_base_url", mode="after")
    @classmethod
    def _http_scheme(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("allowed: an address that begins with http:// or https://")
        return value
