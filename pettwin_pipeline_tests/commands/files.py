"""Files that a user may want to replay."""

from collections.abc import Callable

import pytest

CSV = """dog,when,bpm
rex,2026-03-01T00:00:00Z,60
bo,2026-03-01T00:00:02Z,80.5
rex,2026-03-01T00:00:04Z,62
"""
MAP = ("--map", "pet_id=dog,timestamp=when,heart_rate=bpm")
HEADER = "session,duration_s,pet_id,breed,weight_kg,age_years,beat_times_s\n"
Capsys = pytest.CaptureFixture[str]
Write = Callable[[str, str], str]
"""Writes a text into the folder of the test under a name, and returns the name."""
