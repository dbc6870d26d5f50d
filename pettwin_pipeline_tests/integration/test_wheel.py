"""The wheel: what is in it, and that an empty folder and a fresh environment are all it needs."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from pettwin_pipeline import __version__
from pettwin_pipeline_tests.integration.processes import environment

pytestmark = pytest.mark.install
ROOT = Path(__file__).resolve().parents[2]
NEEDED = (
    "pettwin_pipeline/py.typed",
    "pettwin_pipeline/adapters/migrations/env.py",
    "pettwin_pipeline/adapters/migrations/versions/0001_first.py",
    "pettwin_pipeline/stack/templates/dagster.yaml",
    "pettwin_pipeline/stack/templates/kafka.properties",
    "pettwin_pipeline/stack/templates/kafka-log4j2.properties",
    "pettwin_pipeline/stack/templates/kafka-pom.xml",
    "pettwin_pipeline/stack/templates/workspace.yaml",
    "pettwin_pipeline/stack/recordings/dog_heartbeats.csv",
)


def done(*command: str | Path, folder: Path, **given: str) -> str:
    """Standard output of a command that ends with 0."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment(folder, **given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    done(*build, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a fresh environment in which nothing but the wheel is."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    options = ("--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    done(programs / "python", "-m", "pip", "install", *options, wheel, folder=folder)
    return programs


def test_the_wheel_holds_what_the_commands_need_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert set(NEEDED) <= names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"pettwin_pipeline", f"pettwin_pipeline-{__version__}.dist-info"}
    assert [name for name in names if "/test_" in name or name.endswith(".pyc")] == []
    sources = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("pettwin_pipeline/**/*.py")}
    assert sources <= names
    licences = f"pettwin_pipeline-{__version__}.dist-info/licenses/"
    assert {f"{licences}LICENSE", f"{licences}NOTICE"} <= names


def test_the_command_is_there_and_says_what_it_can(scripts: Path, tmp_path: Path) -> None:
    assert "simulate" in done(scripts / "pettwin", "--help", folder=tmp_path)
    assert done(scripts / "pettwin", "--version", folder=tmp_path) == f"pettwin {__version__}\n"


def test_the_demo_runs_in_an_empty_folder(scripts: Path, tmp_path: Path) -> None:
    printed = done(scripts / "pettwin", "demo", "--pets", "10", folder=tmp_path)
    assert printed.splitlines()[-1].startswith("demo: what went in came out")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_the_code_location_loads_from_the_wheel(scripts: Path, tmp_path: Path) -> None:
    source = (
        "import pettwin_pipeline.definitions as there\n"
        "there.defs.get_repository_def().get_job('stream_job')\n"
        "print(there.__file__)"
    )
    printed = done(scripts / "python", "-c", source, folder=tmp_path)
    assert Path(printed.strip()).is_relative_to(scripts.parent)
