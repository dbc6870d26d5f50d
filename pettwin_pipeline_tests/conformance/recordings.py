"""Recorded exchanges with the real API, beside the repository, and the tool that replays them."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
Interaction = dict[str, Any]


def replay_tool() -> Any:
    """The module `replay_recordings`; where it is absent the test is skipped."""
    path = SHARED / "tools" / "replay_recordings.py"
    if not path.exists():
        pytest.skip("the recordings are not beside the repository: ../shared is absent")
    spec = importlib.util.spec_from_file_location("replay_recordings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recorded(tool: Any, pattern: str = ".") -> Iterator[tuple[str, list[Interaction]]]:
    """Name and interactions of each recording."""
    yield from tool.recordings(re.compile(pattern))
