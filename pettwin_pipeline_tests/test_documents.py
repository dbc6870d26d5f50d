"""What the documents name exists: commands and options, settings, make targets, files."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pettwin_pipeline import __version__
from pettwin_pipeline.cli import app
from pettwin_pipeline.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
SETTINGS = {name.upper() for name in Settings.model_fields}
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
TEXTS = {path.name: path.read_text() for path in DOCUMENTS}

named = pytest.mark.parametrize("name", TEXTS)


def verbs() -> dict[str, set[str]]:
    """Every verb with its options."""
    found = {}
    todo: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    while todo:
        path, command = todo.pop()
        options = {text for one in command.params for text in getattr(one, "opts", ())}
        found[" ".join(path)] = options | {"--help"}
        todo += [((*path, name), sub) for name, sub in getattr(command, "commands", {}).items()]
    return found


def commands_in(text: str) -> list[str]:
    """What follows `pettwin ` in code, up to the end of the code or a comment."""
    code = [
        *re.findall(r"`([^`\n]+)`", text),
        *re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL),
    ]
    lines = [line.partition("#")[0] for block in code for line in block.splitlines()]
    return [said for line in lines for said in re.findall(r"\bpettwin ((?:[a-z]|--).*)", line)]


@named
def test_every_command_and_option_that_is_named_exists(name: str) -> None:
    known = verbs()
    for said in commands_in(TEXTS[name]):
        words = said.split()
        path = words[:2] if " ".join(words[:2]) in known else words[:1]
        if path[0].startswith("--"):
            path = []
        assert " ".join(path) in known, said
        for option in re.findall(r"(?<!\S)--[a-z-]+", said):
            assert option in known[" ".join(path)], said


@named
def test_every_setting_that_is_named_exists(name: str) -> None:
    found = set(re.findall(r"\b(?:PETTWIN|KAFKA|DD|GEMINI|GOOGLE_CLOUD)_[A-Z_]+\b", TEXTS[name]))
    assert found <= SETTINGS


def test_every_setting_of_the_example_exists_and_is_commented_out() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    names = {match[1] for line in lines if (match := re.match(r"#([A-Z_]+)=", line))}
    assert names
    assert names <= SETTINGS
    assert all(line.startswith("#") or not line for line in lines)


@named
def test_every_make_target_that_is_named_exists(name: str) -> None:
    code = re.findall(r"^make ([a-z]+)", TEXTS[name], re.MULTILINE)
    code += re.findall(r"`make ([a-z]+)`", TEXTS[name])
    assert set(code) <= TARGETS


@named
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXTS[name])
    where = ROOT if name in {"README.md", "CHANGELOG.md"} else ROOT / "docs"
    assert [link for link in links if not (where / link).exists()] == []


def test_every_test_that_is_named_exists() -> None:
    named_tests = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", TEXTS["delivery.md"])
    assert len(named_tests) > 30
    for path, name in named_tests:
        text = (ROOT / "pettwin_pipeline_tests" / path).read_text()
        assert not name or f"def {name}(" in text, f"{path}::{name}"


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", TEXTS["CHANGELOG.md"], re.MULTILINE)
    assert first is not None
    assert first[1] == __version__


def test_the_readme_shows_the_two_commands_on_its_first_screen() -> None:
    top = TEXTS["README.md"].splitlines()[:20]
    assert any(line.startswith("make demo") for line in top)
    assert any(line.startswith("make test") for line in top)
