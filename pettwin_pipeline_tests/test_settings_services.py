import os
from pathlib import Path

import pytest

from pettwin_pipeline.adapters.telemetry import DogStatsdAddress, dogstatsd_address
from pettwin_pipeline.errors import NoBrokerError
from pettwin_pipeline.settings import Settings
from pettwin_pipeline.state import Stack, StateFolder


def in_state(state: StateFolder, **more: str) -> Settings:
    return Settings.load({"PETTWIN_STATE_DIR": str(state.root), **more})


def test_without_a_broker_the_error_names_both_ways_and_where_it_looked(
    state_folder: StateFolder,
) -> None:
    with pytest.raises(NoBrokerError) as caught:
        in_state(state_folder).broker()
    for word in ("`pettwin up`", "KAFKA_BOOTSTRAP_SERVERS", str(state_folder.root)):
        assert word in str(caught.value)


def test_the_running_stack_has_the_broker_unless_the_environment_names_one(
    state_folder: StateFolder,
) -> None:
    state_folder.write_stack(Stack(os.getpid(), "127.0.0.1:7", "embedded", "epoch-1"))
    local = in_state(state_folder).broker()
    assert (local.bootstrap, local.kind, local.epoch) == ("127.0.0.1:7", "embedded", "epoch-1")
    assert local.source == str(state_folder.stack_file)
    named = in_state(state_folder, KAFKA_BOOTSTRAP_SERVERS="k:9092").broker()
    assert (named.bootstrap, named.kind, named.epoch) == ("k:9092", "kafka", "")
    assert named.source == "KAFKA_BOOTSTRAP_SERVERS"


def services(settings: Settings) -> dict[str, tuple[str, str]]:
    return {one.name: (one.state, one.detail) for one in settings.services()}


def test_services_say_what_is_absent(state_folder: StateFolder) -> None:
    found = services(in_state(state_folder))
    assert {name: state for name, (state, _) in found.items()} == {
        "kafka": "none",
        "datadog": "none",
        "model": "none",
        "notifications": "local",
    }
    assert found["kafka"][1].startswith("no broker: ")


def test_services_say_what_is_local(state_folder: StateFolder) -> None:
    state_folder.write_stack(Stack(os.getpid(), "127.0.0.1:7", "embedded", "epoch-1"))
    found = services(in_state(state_folder))
    assert found["kafka"] == ("local", "embedded broker at 127.0.0.1:7")
    state_folder.write_stack(Stack(os.getpid(), "127.0.0.1:8", "kafka", ""))
    found = services(in_state(state_folder))
    assert found["kafka"] == ("local", "Apache Kafka at 127.0.0.1:8")


def test_points_go_to_the_local_datadog_of_the_stack_unless_another_one_is_named(
    state_folder: StateFolder,
) -> None:
    addresses = {"dogstatsd": "127.0.0.1:7125"}
    state_folder.write_stack(Stack(os.getpid(), "", "embedded", "", addresses=addresses))
    local = in_state(state_folder)
    assert (local.metrics_transport, local.local_dogstatsd) == ("dogstatsd", "127.0.0.1:7125")
    told = services(local)["datadog"]
    assert told == ("local", "DogStatsD to the local Datadog at 127.0.0.1:7125")
    assert dogstatsd_address(local) == DogStatsdAddress("127.0.0.1", 7125)
    for name, transport in (
        ("DD_API_KEY", "http"),
        ("DD_AGENT_HOST", "dogstatsd"),
        ("DD_DOGSTATSD_URL", "dogstatsd"),
        ("PETTWIN_METRICS", "none"),
    ):
        given = {"DD_DOGSTATSD_URL": "udp://agent:1", "PETTWIN_METRICS": "none"}
        named = in_state(state_folder, **{name: given.get(name, "x")})
        assert (named.metrics_transport, named.local_dogstatsd) == (transport, None)


def test_services_say_what_is_real(state_folder: StateFolder) -> None:
    real = {"KAFKA_BOOTSTRAP_SERVERS": "k:9092", "DD_API_KEY": "key", "DD_SITE": "datadoghq.eu"}
    found = services(in_state(state_folder, **real))
    assert found["kafka"] == ("real", "Apache Kafka at k:9092")
    assert found["datadog"] == ("real", "HTTP to datadoghq.eu")
    found = services(in_state(state_folder, DD_AGENT_HOST="agent"))
    assert found["datadog"] == ("real", "DogStatsD to agent:8125")


@pytest.mark.parametrize(
    ("environ", "state", "told"),
    [
        ({}, "local", "file STATE/notifications.ndjson, from severity medium on"),
        ({"PETTWIN_NOTIFY_FILE": "told", "PETTWIN_NOTIFY_FROM": "low"}, "local", "file STATE/told"),
        ({"PETTWIN_NOTIFY_FILE": "/dev/stdout"}, "local", "file /dev/stdout, from"),
        ({"PETTWIN_NOTIFY_FILE": "~/told"}, "local", "file HOME/told, from"),
        ({"PETTWIN_NOTIFY_FILE": "none"}, "none", "owners are told nothing"),
        (
            {"PETTWIN_WEBHOOK_URL": "http://[::1]:8/x?s3cret", "PETTWIN_NOTIFY_FILE": "none"},
            "local",
            "webhook at [::1]:8, from severity medium on",
        ),
        (
            {"PETTWIN_WEBHOOK_URL": "https://a.b/s3cret", "PETTWIN_WEBHOOK_HOSTS": "a.b"},
            "real",
            "webhook at a.b:443 and file STATE/notifications.ndjson, from severity medium on",
        ),
    ],
)
def test_services_say_how_owners_are_told(
    state_folder: StateFolder,
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    state: str,
    told: str,
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    found = services(in_state(state_folder, **environ))["notifications"]
    assert found[0] == state
    expected = told.replace("STATE", str(state_folder.root)).replace("HOME", "/home/me")
    assert found[1].startswith(expected)
    assert "s3cret" not in found[1]


@pytest.mark.parametrize(
    ("environ", "transport"),
    [
        ({}, "none"),
        ({"DD_API_KEY": "k"}, "http"),
        ({"DD_API_KEY": "k", "DD_AGENT_HOST": "agent"}, "dogstatsd"),
        ({"DD_DOGSTATSD_URL": "unix:///run/dsd.socket"}, "dogstatsd"),
        ({"DD_AGENT_HOST": "agent", "PETTWIN_METRICS": "none"}, "none"),
        ({"PETTWIN_METRICS": "dogstatsd"}, "dogstatsd"),
    ],
)
def test_points_go_to_an_agent_else_to_the_api_else_nowhere(
    environ: dict[str, str], transport: str
) -> None:
    assert Settings.load(environ).metrics_transport == transport


def test_the_state_folder_lies_beside_workspace_yaml_of_the_folder_or_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "down")
    assert Settings.load({}).state.root == tmp_path.resolve() / ".pettwin"


def test_without_workspace_yaml_the_state_folder_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "users"))
    monkeypatch.setenv("HOME", str(tmp_path))
    root = Settings.load({}).state.root
    assert root.is_absolute()
    assert root.is_relative_to(tmp_path)
    assert root.name == "pettwin"


def test_a_relative_state_folder_is_made_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Settings.load({"PETTWIN_STATE_DIR": "here"}).state.root == tmp_path.resolve() / "here"
    assert Settings.load({"PETTWIN_STATE_DIR": "~/x"}).state.root == tmp_path / "home" / "x"


def test_ledger_and_data_lie_in_the_state_folder_unless_said_otherwise(
    state_folder: StateFolder,
) -> None:
    settings = in_state(state_folder)
    assert settings.ledger_url == f"sqlite:///{state_folder.root}/ledger.sqlite"
    assert settings.data_url == str(state_folder.root / "data")
    said = in_state(state_folder, PETTWIN_LEDGER_URL="sqlite:///x", PETTWIN_DATA_URL="gs://b/f")
    assert (said.ledger_url, said.data_url) == ("sqlite:///x", "gs://b/f")
