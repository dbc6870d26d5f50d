"""The code location: what is in it, and what must never be in it."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap

from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, Pipeline, calm, repository

pytestmark = DAGSTERS_OWN

SECRETS = {
    "DD_API_KEY": "s3cret-dd",
    "DD_APP_KEY": "s3cret-app",
    "KAFKA_SASL_USERNAME": "s3cret-user",
    "KAFKA_SASL_PASSWORD": "s3cret-kafka",
    "GEMINI_API_KEY": "s3cret-gemini",
    "PETTWIN_WEBHOOK_URL": "http://127.0.0.1:1/s3cret-place",
    "PETTWIN_WEBHOOK_SECRET": "s3cret-signature",
}


@pytest.fixture
def secrets(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline whose environment has secrets."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return pipeline


def test_stream_assets_jobs_and_sensors_are_there_and_on(pipeline: Pipeline) -> None:
    found = repository()
    assert {key.to_user_string() for key in found.asset_graph.get_all_asset_keys()} >= {
        "pet_health_stream",
        "telemetry_batch",
        "anomaly_scores",
        "verdicts",
        "health_alerts",
        "notifications",
        "pipeline_metrics",
    }
    for name in ("new_readings", "new_labels", "unsent_notifications", "pipeline_state"):
        sensor = found.get_sensor_def(name)
        assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert found.get_job("stream_job").tags["dagster/max_retries"] == "0"


def test_the_assets_stand_in_the_order_of_the_flow(pipeline: Pipeline) -> None:
    graph = repository().asset_graph
    order = [
        "pet_health_stream",
        "telemetry_batch",
        "anomaly_scores",
        "verdicts",
        "health_alerts",
        "pipeline_metrics",
    ]
    for before, after in pairwise(order):
        assert dg.AssetKey(before) in graph.get(dg.AssetKey(after)).parent_keys


def test_only_the_check_that_nothing_was_skipped_blocks(pipeline: Pipeline) -> None:
    graph = repository().asset_graph
    blocking = {key.name: graph.get(key).blocking for key in graph.asset_check_keys}
    assert blocking == {
        "every_message_became_a_reading_or_a_reject": True,
        "dead_letter_share_is_small": False,
        "one_verdict_for_each_episode_and_severity": False,
        "notifications_were_delivered": False,
        "points_were_accepted": False,
        "accuracy_is_as_agreed": False,
    }


def test_no_secret_is_in_the_snapshot_of_the_code_location(secrets: Pipeline) -> None:
    snapshot = dg.serialize_value(RepositorySnap.from_def(repository()))
    assert "telemetry_batch" in snapshot
    assert [value for value in SECRETS.values() if value in snapshot] == []


def test_no_secret_is_in_what_a_fresh_code_location_knows(secrets: Pipeline) -> None:
    program = "import dagster as dg; from pettwin_pipeline.definitions import defs;"
    program += "from dagster._core.remote_representation.external_data import RepositorySnap as R;"
    program += "print(dg.serialize_value(R.from_def(defs.get_repository_def())))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert "telemetry_batch" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_no_secret_is_in_what_a_run_leaves_behind(
    secrets: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PETTWIN_METRICS", "none")
    secrets.send(calm("rex", 1))
    (request,) = secrets.tick().run_requests
    result = secrets.run(request.tags)
    assert result.success
    log = "\n".join(map(dg.serialize_value, secrets.instance.all_logs(result.run_id)))
    run = secrets.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert "telemetry_batch" in log
    assert "s3cret" not in log + dg.serialize_value(run)
    files = [path for path in secrets.settings.state.root.rglob("*") if path.is_file()]
    assert [path for path in files if b"s3cret" in path.read_bytes()] == []


def test_wrong_settings_are_told_in_one_line_when_the_code_location_is_loaded(
    tmp_path: Path,
) -> None:
    environ = {"PETTWIN_LANES": "many", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", "import pettwin_pipeline.definitions"],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert "PETTWIN_LANES='many': " in done.stderr.splitlines()[-1]
