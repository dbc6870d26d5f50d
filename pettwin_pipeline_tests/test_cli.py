"""The command line itself: help, exit codes, one line where a person can mend it, light imports."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_group

from pettwin_pipeline import __version__
from pettwin_pipeline.cli import app, run
from pettwin_pipeline_tests.commands.place import enter, plain

VERBS = (
    *("up", "demo", "simulate", "replay", "status", "skip", "unpark", "redrive", "repartition"),
    *("erase", "settings", "topics", "query"),
)
HEAVY = (
    *("dagster", "polars", "numpy", "confluent_kafka", "sqlalchemy", "google", "matplotlib"),
    *("psutil", "datadog", "pydantic_settings"),
)
HEAVY_DEFINITIONS = (
    *("polars", "numpy", "confluent_kafka", "sqlalchemy", "matplotlib", "datadog"),
    *("datadog_api_client", "google.genai", "google.cloud.aiplatform"),
)
Answer = tuple[int, str, str]


@pytest.fixture
def pettwin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """Run a command in an empty folder: exit code, standard output, standard error."""
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("COLUMNS", "200")

    def answer(*arguments: str) -> Answer:
        code = run(list(arguments))
        told = capsys.readouterr()
        return code, plain(told.out), plain(told.err)

    return answer


def is_one_line(answer: Answer, code: int = 2) -> bool:
    """Whether a command ended as one that a person can mend."""
    found, out, err = answer
    return found == code and err.startswith("pettwin: ") and err.count("\n") == 1 and not out


def test_help_lists_every_verb(pettwin: Callable[..., Answer]) -> None:
    code, out, err = pettwin("--help")
    assert (code, err) == (0, "")
    verbs = get_group(app).commands
    assert set(VERBS) <= set(verbs)
    for verb in verbs:
        assert f"│ {verb} " in out
    assert "`pettwin settings` lists them" in out


@pytest.mark.parametrize(
    "verb", [*((one,) for one in get_group(app).commands), ("topics", "create")]
)
def test_each_verb_explains_itself(pettwin: Callable[..., Answer], verb: tuple[str, ...]) -> None:
    code, out, err = pettwin(*verb, "--help")
    assert (code, err) == (0, "")
    assert f"Usage: pettwin {' '.join(verb)}" in out
    assert "--help" in out


def test_without_a_verb_the_help_is_shown(pettwin: Callable[..., Answer]) -> None:
    code, out, err = pettwin()
    assert code == 2
    assert "simulate" in out + err


def test_the_version_is_told(pettwin: Callable[..., Answer]) -> None:
    assert pettwin("--version") == (0, f"pettwin {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("simulate", "--pets", "0"), "--pets"),
        (("simulate", "--minutes", "inf"), "--minutes"),
        (("simulate", "--minutes", "nan"), "--minutes"),
        (("simulate", "--every", "inf"), "--every"),
        (("simulate", "--speed", "-1"), "--speed"),
        (("simulate", "--ill-share", "1.5"), "--ill-share"),
        (("simulate", "--start", "yesterday"), "--start"),
        (("simulate", "--pest", "3"), "--pest"),
        (("replay", "--format", "xml"), "--format"),
        (("up", "--broker", "rabbit"), "--broker"),
        (("up", "--port", "70000"), "--port"),
        (("demo", "--pets", "many"), "--pets"),
        (("topics", "create", "--partitions", "0"), "--partitions"),
        (("redrive", "--reason", "too_odd"), "--reason"),
        (("redrive", "--most", "0"), "--most"),
        (("redrive", "--since", "lately"), "--since"),
    ],
)
def test_a_wrong_option_is_named_with_exit_code_2(
    pettwin: Callable[..., Answer], arguments: tuple[str, ...], named: str
) -> None:
    code, out, err = pettwin(*arguments)
    assert (code, out) == (2, "")
    assert named in err
    assert "Traceback" not in err


def test_an_unknown_verb_is_named_with_exit_code_2(pettwin: Callable[..., Answer]) -> None:
    code, _, err = pettwin("simulat")
    assert code == 2
    assert "simulat" in err


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("KAFKA_TIMEOUT_S", "soon", "KAFKA_TIMEOUT_S='soon'"),
        ("DD_SITE", "datadog.example", "DD_SITE='datadog.example'"),
        ("PETTWIN_BATCH_INTERVAL", "5", "PETTWIN_BATCH_INTERVAL: unknown setting; did you mean"),
        ("PETTWIN_COLOUR", "blue", "PETTWIN_COLOUR: unknown setting; `pettwin settings`"),
        ("KAFKA_SASL_USERNAME", "me", "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ("PETTWIN_METRICS", "http", "PETTWIN_METRICS=http needs DD_API_KEY"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    pettwin: Callable[..., Answer],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    answer = pettwin("simulate")
    assert is_one_line(answer), answer
    assert told in answer[2]


def test_a_wrong_line_of_the_dotenv_file_is_named_too(
    pettwin: Callable[..., Answer], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PETTWIN_LANES=many\n")
    answer = pettwin("settings")
    assert is_one_line(answer)
    assert "PETTWIN_LANES='many'" in answer[2]


@pytest.mark.parametrize(
    "arguments", [("simulate",), ("replay",), ("redrive",), ("topics", "create")]
)
def test_no_broker_is_one_line_that_says_how_to_start_one(
    pettwin: Callable[..., Answer], arguments: tuple[str, ...]
) -> None:
    answer = pettwin(*arguments)
    assert is_one_line(answer), answer
    assert "pettwin: no broker: start one with `pettwin up`" in answer[2]


@pytest.mark.parametrize("arguments", [("simulate",), ("up",)])
def test_a_broker_that_does_not_answer_is_one_line_with_its_address(
    pettwin: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("KAFKA_TIMEOUT_S", "1")
    code, out, err = pettwin(*arguments)
    assert is_one_line((code, "", err)), err
    assert "the broker at 127.0.0.1:9 (from KAFKA_BOOTSTRAP_SERVERS) does not answer" in err
    assert "acknowledged" not in out
    assert "up;" not in out


def test_a_local_broker_beside_a_named_one_is_refused(
    pettwin: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    code, _, err = pettwin("up", "--broker", "embedded")
    assert code == 2
    assert "choose one of them" in err


@pytest.mark.parametrize("verb", ["up", "status"])
def test_a_state_folder_that_cannot_be_made_is_one_line(
    pettwin: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PETTWIN_STATE_DIR", str(tmp_path / "file" / "state"))
    code, _, err = pettwin(verb)
    assert is_one_line((code, "", err)), err
    assert str(tmp_path / "file") in err


def modules(source: str, folder: Path) -> set[str]:
    """The modules that are loaded after a program ran in a process of its own."""
    told = f"{source}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    env = os.environ | {"PETTWIN_STATE_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", told],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def loaded(names: tuple[str, ...], among: set[str]) -> list[str]:
    return [one for one in names if any(f"{module}.".startswith(f"{one}.") for module in among)]


@pytest.mark.parametrize(
    "source",
    [
        "import pettwin_pipeline.cli",
        "from pettwin_pipeline.cli import run\nassert run(['--help']) == 0",
        "from pettwin_pipeline.cli import run\nassert run(['--version']) == 0",
    ],
)
def test_the_command_line_loads_nothing_heavy_before_a_verb_is_used(
    pettwin: Callable[..., Answer], tmp_path: Path, source: str
) -> None:
    python = modules("", tmp_path)  # a `.pth` file may load something with every Python
    assert loaded(HEAVY, modules(source, tmp_path) - python) == []


def test_the_code_location_loads_nothing_heavy_beside_dagster(
    pettwin: Callable[..., Answer], tmp_path: Path
) -> None:
    dagsters = modules("import dagster", tmp_path)
    ours = modules("import pettwin_pipeline.definitions", tmp_path)
    assert "pettwin_pipeline.defs.ingest" in ours
    assert loaded(HEAVY_DEFINITIONS, ours - dagsters) == []
