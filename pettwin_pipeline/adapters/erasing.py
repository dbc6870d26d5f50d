"""What the data folder keeps of one pet, taken out of every file.

Each file is read, and written anew where the pet is in it: killed in the middle, it is begun again.
Knows the kinds of files and how each names a pet.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

import msgspec
import polars as pl
from upath import UPath

from pettwin_pipeline.adapters import baseline_files, hour_files
from pettwin_pipeline.adapters.files import BatchFiles, encode_frame, parse_frame
from pettwin_pipeline.detection.snapshots import Snapshot, encode_snapshot, parse_snapshot, without
from pettwin_pipeline.errors import UnknownFormatError
from pettwin_pipeline.metrics.points import encode_points, parse_points

_OF_EPISODES: Final = ("episodes", "alerts", "verdicts")
"""In this order: a verdict names its episode only."""
_OF_READINGS: Final = ("readings", hour_files.FOLDER)
"""Whose rows are readings; those of others are about them."""


def erase_from_files(
    files: BatchFiles, pet_id: str, keep_alive: Callable[[], None] = lambda: None
) -> dict[str, int]:
    """Take a pet out of all files.

    Args:
        files: of the pipeline.
        pet_id: whose.
        keep_alive: called before every file.

    Returns:
        How many readings, and how many files of each kind were written anew.

    Raises:
        UnknownFormatError: a file cannot be read.
    """
    found: Counter[str] = Counter()
    episodes: set[str] = set()
    for kind, path in _in_order(files.root):
        keep_alive()
        try:
            rows, left = _without_pet(kind, path, pet_id, episodes)
        except (msgspec.MsgspecError, pl.exceptions.ComputeError) as error:
            raise UnknownFormatError(
                f"{path} cannot be read ({error}): restore or remove it, then erase again"
            ) from None
        found["readings"] += rows
        if left is not None:
            files.write(path, left)
            found[f"files of {kind}"] += 1
    return dict(found)


def _without_pet(
    kind: str, path: UPath, pet_id: str, episodes: set[str]
) -> tuple[int, bytes | None]:
    """How many readings of a pet a file holds, and the file without it; None: it is not in it."""
    content = path.read_bytes()
    if kind in _OF_EPISODES:
        return 0, _from_json(content, pet_id, episodes)
    if kind == baseline_files.FOLDER:
        return 0, _from_baselines(content, pet_id)
    if kind.startswith("points"):
        return 0, _from_points(content, pet_id)
    if path.suffix == ".parquet":
        rows, left = _from_frame(content, pet_id, is_hour=kind == hour_files.FOLDER)
        return rows if kind in _OF_READINGS else 0, left
    return 0, None


def _in_order(root: UPath) -> list[tuple[str, UPath]]:
    """Every whole file with its kind; episodes before what names them only."""
    if not root.exists():
        return []
    paths = (path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    kinds = ((path.relative_to(root).parts[0], path) for path in paths)
    return sorted(kinds, key=lambda one: (one[0] == "verdicts", str(one[1])))


def _from_json(content: bytes, pet_id: str, episodes: set[str]) -> bytes | None:
    """A list without what is of the pet; notes the ids of its episodes."""
    items: list[dict[str, Any]] = msgspec.json.decode(content)
    left = [one for one in items if not _is_of(one, pet_id, episodes)]
    episodes.update(one["episode_id"] for one in items if one.get("pet_id") == pet_id)
    return None if len(left) == len(items) else msgspec.json.encode(left)


def _is_of(item: dict[str, Any], pet_id: str, episodes: Collection[str]) -> bool:
    return item.get("pet_id") == pet_id or item["episode_id"] in episodes


def _from_baselines(content: bytes, pet_id: str) -> bytes | None:
    snapshot = parse_snapshot(content)
    left = without(snapshot.baselines, pl.Series("pet_id", [pet_id]))
    if len(left.pet_ids) == len(snapshot.baselines.pet_ids):
        return None
    return encode_snapshot(Snapshot(snapshot.layer, left))


def _from_points(content: bytes, pet_id: str) -> bytes | None:
    points = parse_points(content)
    left = [one for one in points if dict(one.tags).get("pet_id") != pet_id]
    return None if len(left) == len(points) else encode_points(left)


def _from_frame(content: bytes, pet_id: str, *, is_hour: bool) -> tuple[int, bytes | None]:
    """How many rows are of the pet, and the file without them."""
    rows = int((parse_frame(content, ["pet_id"])["pet_id"] == pet_id).sum())
    if not rows:
        return 0, None
    left = parse_frame(content).filter(pl.col("pet_id") != pet_id)
    return rows, hour_files.encode_hour(left) if is_hour else encode_frame(left)
