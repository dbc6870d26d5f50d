import os
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pettwin_pipeline.errors import SettingsError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.settings_fields import DATADOG_SITES

SASL = {"KAFKA_SASL_USERNAME": "key", "KAFKA_SASL_PASSWORD": "s3cret"}
SECRETS = {
    **SASL,
    "DD_API_KEY": "s3cret",
    "DD_APP_KEY": "s3cret",
    "GEMINI_API_KEY": "s3cret",
    "PETTWIN_LEDGER_URL": "postgresql://me:s3cret@db/ledger",
    "PETTWIN_WEBHOOK_URL": "http://localhost/s3cret",
    "PETTWIN_WEBHOOK_SECRET": "s3cret",
}


def refusal(environ: Mapping[str, str]) -> str:
    """What the error says."""
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty, in an environment without a setting of ours."""
    for name in os.environ:
        if name.upper() in {field.upper() for field in Settings.model_fields}:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_variable_everything_has_its_default() -> None:
    settings = Settings.load({})
    assert settings.kafka_bootstrap_servers is None
    assert settings.topics == (
        "pet-health-stream",
        "pet-health-alerts",
        "pet-health-labels",
        "pet-health-stream.dlq",
    )
    assert settings.metrics_transport == "none"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI", "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ("KAFKA_TIMEOUT_S", "0", "greater than 0"),
        ("KAFKA_TIMEOUT_S", "301", "less than or equal to 300"),
        ("KAFKA_TIMEOUT_S", "soon", "a valid number"),
        ("KAFKA_TOPIC", "pets and more", "[a-zA-Z0-9._-]"),
        ("KAFKA_TOPIC", "../elsewhere", "[a-zA-Z0-9._-]"),
        ("KAFKA_ALERTS_TOPIC", "a" * 246, "[a-zA-Z0-9._-]{0,244}"),
        ("KAFKA_DEAD_LETTER_TOPIC", "a/b", "[a-zA-Z0-9._-]"),
        ("DD_SITE", "datadoghq.cn", "'datadoghq.eu'"),
        ("DD_DOGSTATSD_PORT", "65536", "less than or equal to 65535"),
        ("DD_DOGSTATSD_URL", "tcp://agent:8125", "udp://host:port or unix:///path"),
        ("DATADOG_HOST", "localhost:8126", "http:// or https://"),
        ("GEMINI_BASE_URL", "ftp://models", "http:// or https://"),
        ("DD_ENV", "Prod!", "^[a-z]"),
        ("PETTWIN_STATE_DIR", "~nobody-has-this-name/pettwin", "allowed: a folder"),
        ("PETTWIN_BATCH_INTERVAL_S", "4", "greater than or equal to 5"),
        ("PETTWIN_BATCH_INTERVAL_S", "7.5", "a valid integer"),
        ("PETTWIN_BATCH_MAX_READINGS", "0", "greater than or equal to 1"),
        ("PETTWIN_LANES", "65", "less than or equal to 64"),
        ("PETTWIN_LEASE_S", "9", "greater than or equal to 10"),
        ("PETTWIN_START", "middle", "'earliest' or 'latest'"),
        ("PETTWIN_START", "2026-03-01T00:00:00", "timezone"),
        ("PETTWIN_MAX_AGE_H", "inf", "a finite number"),
        ("PETTWIN_MAX_AGE_H", "nan", "a finite number"),
        ("PETTWIN_MAX_AHEAD_S", "inf", "a finite number"),
        ("PETTWIN_METRICS", "statsd", "'auto', 'dogstatsd', 'http' or 'none'"),
        ("PETTWIN_METRIC_NAMESPACE", "1st", "^([a-zA-Z]"),
        ("PETTWIN_NOTIFY_FROM", "none", "'low', 'medium', 'high' or 'critical'"),
        ("PETTWIN_NOTIFY_FILE", "~nobody-has-this-name/told", "home"),
        ("PETTWIN_WEBHOOK_HOSTS", "a,b:80", "'b:80' is not a host"),
    ],
)
def test_a_wrong_value_is_refused_with_variable_value_and_what_is_allowed(
    name: str, value: str, allowed: str
) -> None:
    told = refusal({name: value})
    assert told.startswith(f"{name}={value!r}: ")
    assert allowed in told
    assert "\n" not in told


def test_each_wrong_variable_has_a_line_of_its_own() -> None:
    told = refusal({"PETTWIN_LANES": "many", "DD_SITE": "nowhere", "PETTWIN_START": "then"})
    assert {line.split("=")[0] for line in told.splitlines()} == {
        "PETTWIN_LANES",
        "DD_SITE",
        "PETTWIN_START",
    }
    assert len(told.splitlines()) == 3


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"PETTWIN_LANE": "2"}, "PETTWIN_LANE: unknown setting; did you mean PETTWIN_LANES?"),
        ({"pettwin_lane": "2"}, "pettwin_lane: unknown setting; did you mean PETTWIN_LANES?"),
        ({"PETTWIN_X": ""}, "PETTWIN_X: unknown setting; `pettwin settings` lists them"),
        ({"KAFKA_TOPICS": "t"}, "KAFKA_TOPICS: unknown setting; did you mean KAFKA_TOPIC?"),
        (
            {"KAFKA_BOOTSTRAP_SERVER": "k:9092"},
            "KAFKA_BOOTSTRAP_SERVER: unknown setting; did you mean KAFKA_BOOTSTRAP_SERVERS?",
        ),
    ],
)
def test_an_unknown_setting_of_ours_and_a_misspelt_one_of_kafka_are_refused(
    environ: dict[str, str], told: str
) -> None:
    assert refusal(environ) == told


@pytest.mark.parametrize(
    "name",
    [
        "KAFKA_HEAP_OPTS",
        "KAFKA_HOME",
        "KAFKA_OPTS",
        "KAFKA_JMX_OPTS",
        "KAFKA_LOG4J_OPTS",
        "KAFKA_NODE_ID",
        "KAFKA_LISTENERS",
        "KAFKA_ADVERTISED_LISTENERS",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
        "DD_TRACE_ENABLED",
        "DD_AGENT_PORT",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ],
)
def test_variables_of_others_are_none_of_our_business(name: str) -> None:
    assert Settings.load({name: "x"}) == Settings.load({})


def test_secrets_are_never_printed() -> None:
    settings = Settings.load({"KAFKA_BOOTSTRAP_SERVERS": "k:9092", **SECRETS})
    printed = [
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
        str(settings.services()),
    ]
    assert [text for text in printed if "s3cret" in text] == []
    assert settings.ledger_url == "postgresql://me:s3cret@db/ledger"


def test_an_error_prints_no_secret() -> None:
    wrong_values = (
        {"PETTWIN_LANES": "x"},
        {"KAFKA_SASL_USERNAME": ""},
        {"PETTWIN_WEBHOOK_URL": "http://evil.example/s3cret"},
        {"PETTWIN_WEBHOOK_URL": "http://me:s3cret@localhost/"},
        {"PETTWIN_WEBHOOK_URL": "ftp://localhost/s3cret"},
        {"PETTWIN_WEBHOOK_HOSTS": "*"},
    )
    for wrong in wrong_values:
        try:
            Settings.load({**SECRETS, **wrong})
        except SettingsError:
            assert "s3cret" not in traceback.format_exc()
        else:
            pytest.fail(f"{wrong} was taken")


def test_an_empty_variable_means_the_default() -> None:
    assert Settings.load({"KAFKA_TOPIC": "", "PETTWIN_LANES": "", "DD_API_KEY": ""}) == (
        Settings.load({})
    )


def test_a_line_in_dotenv_counts_where_there_is_no_such_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("KAFKA_TOPIC=from-file\nPETTWIN_LANES=3\nDD_ENV=prod\n")
    monkeypatch.setenv("PETTWIN_LANES", "2")
    monkeypatch.setenv("DD_ENV", "")
    settings = Settings.load()
    assert (settings.kafka_topic, settings.pettwin_lanes, settings.dd_env) == (
        "from-file",
        2,
        "dev",
    )


def test_an_unknown_setting_in_dotenv_is_refused(folder: Path) -> None:
    (folder / ".env").write_text("PETTWIN_LANE=3\n")
    with pytest.raises(SettingsError, match="did you mean PETTWIN_LANES"):
        Settings.load()


def test_a_dotenv_that_is_no_text_is_an_error_in_one_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"KAFKA_TOPIC=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env of the current folder cannot be read"):
        Settings.load()


def test_what_is_handed_in_replaces_environment_and_dotenv(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("KAFKA_TOPIC=from-file\n")
    monkeypatch.setenv("KAFKA_LABELS_TOPIC", "from-environment")
    monkeypatch.setenv("PETTWIN_MISSPELT", "1")
    settings = Settings.load({"KAFKA_ALERTS_TOPIC": "handed-in"})
    assert settings.topics[:3] == ("pet-health-stream", "handed-in", "pet-health-labels")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load({}).kafka_topic = "other"  # type: ignore[misc]


def test_a_username_means_sasl_over_tls_unless_said_otherwise() -> None:
    assert Settings.load({}).kafka_security_protocol == "PLAINTEXT"
    assert Settings.load(SASL).kafka_security_protocol == "SASL_SSL"
    assert Settings.load({**SASL, "KAFKA_SECURITY_PROTOCOL": ""}).kafka_security_protocol == (
        "SASL_SSL"
    )
    said = Settings.load({**SASL, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"})
    assert (said.kafka_security_protocol, said.kafka_sasl_mechanism) == ("SASL_PLAINTEXT", "PLAIN")


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"KAFKA_SASL_USERNAME": "key"}, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD go together"),
        ({"KAFKA_SASL_PASSWORD": "x"}, "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD go together"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA_SECURITY_PROTOCOL='SASL_SSL': "),
        (SASL | {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "KAFKA_SECURITY_PROTOCOL='PLAINTEXT': "),
        ({"PETTWIN_METRICS": "http"}, "PETTWIN_METRICS=http needs DD_API_KEY"),
        ({"KAFKA_ALERTS_TOPIC": "pet-health-stream"}, "must differ"),
        ({"KAFKA_DEAD_LETTER_TOPIC": "pet-health-stream"}, "must differ"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], told: str
) -> None:
    assert told in refusal(environ)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://evil.example/x", "its host 'evil.example' is not on the list"),
        ("http://me:you@localhost/x", "an address has no user and no password in it"),
        ("ftp://localhost/x", "allowed: https://host/path, or http:// for this machine"),
    ],
)
def test_a_webhook_that_may_not_be_posted_to_names_both_variables(url: str, told: str) -> None:
    refused = refusal({"PETTWIN_WEBHOOK_URL": url})
    assert refused.startswith(f"PETTWIN_WEBHOOK_URL=(secret): {told}")
    assert refused.endswith("; PETTWIN_WEBHOOK_HOSTS='127.0.0.1,localhost,::1'")
    assert "\n" not in refused


def test_a_host_on_the_list_may_be_posted_to_over_https_only() -> None:
    hosts = {"PETTWIN_WEBHOOK_HOSTS": "Hooks.example, localhost"}
    settings = Settings.load(hosts | {"PETTWIN_WEBHOOK_URL": "https://hooks.example/x\n"})
    assert settings.webhook is not None
    assert settings.webhook.where == "hooks.example:443"
    told = refusal(hosts | {"PETTWIN_WEBHOOK_URL": "http://hooks.example/x"})
    assert "'hooks.example' needs https://" in told


def test_a_list_of_hosts_replaces_the_default() -> None:
    hosts = {"PETTWIN_WEBHOOK_HOSTS": "hooks.example"}
    assert "not on the list" in refusal(hosts | {"PETTWIN_WEBHOOK_URL": "http://localhost/"})


def test_a_blank_secret_is_refused() -> None:
    assert refusal({"PETTWIN_WEBHOOK_SECRET": " "}).startswith("PETTWIN_WEBHOOK_SECRET=(secret): ")


def test_the_start_is_a_word_or_a_time() -> None:
    assert Settings.load({"PETTWIN_START": "latest"}).pettwin_start == "latest"
    said = Settings.load({"PETTWIN_START": "2026-03-01T00:00:00Z"})
    assert said.pettwin_start == datetime(2026, 3, 1, tzinfo=UTC)


def test_dead_letters_go_beside_the_readings_unless_said_otherwise() -> None:
    assert Settings.load({"KAFKA_TOPIC": "dogs"}).dead_letter_topic == "dogs.dlq"
    assert Settings.load({"KAFKA_DEAD_LETTER_TOPIC": "bad"}).dead_letter_topic == "bad"


def test_the_watch_list_is_sorted_without_repeats_and_blanks() -> None:
    assert Settings.load({"PETTWIN_WATCH_PETS": " rex, bo,,rex "}).watch_pets == ("bo", "rex")


def test_every_site_of_datadog_is_allowed() -> None:
    assert [Settings.load({"DD_SITE": site}).dd_site for site in DATADOG_SITES] == [*DATADOG_SITES]
