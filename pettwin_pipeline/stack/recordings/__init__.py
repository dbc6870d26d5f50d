"""Recorded sessions that come with the package; where they are from is in NOTICE."""

from importlib.resources import files


def dog_heartbeats() -> list[str]:
    """The lines of the recorded heart beats: what `readings.heartbeats.parse_sessions` takes."""
    text = files(__name__).joinpath("dog_heartbeats.csv").read_text(encoding="utf-8")
    return text.splitlines()
