"""Baselines of one partition, a file for each offset at which a batch ended.

A file holds all pets or those that its batch touched; what lies below it is named in it. Knows
paths and how files lie upon one another; what a baseline is, is known to `detection`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from upath import UPath

from pettwin_pipeline.adapters.files import BatchFiles
from pettwin_pipeline.detection.baseline import Baselines
from pettwin_pipeline.detection.snapshots import (
    Layer,
    Snapshot,
    encode_snapshot,
    overlay,
    parse_layer,
    parse_snapshot,
)
from pettwin_pipeline.errors import BaselinesMissingError

FOLDER: Final = "baselines"
SUFFIX: Final = ".baselines"


@dataclass(frozen=True, slots=True)
class BaselineFiles:
    """The baselines of one partition, by one version of the detector."""

    files: BatchFiles
    topic: str
    epoch: str
    partition: int
    version: str

    @property
    def folder(self) -> UPath:
        """Where they lie."""
        place = self.files.root / FOLDER / self.topic / self.epoch
        return place / f"detector{self.version}" / f"partition{self.partition:05d}"

    def path(self, offset: int) -> UPath:
        """The file of an offset."""
        return self.folder / f"{offset:020d}{SUFFIX}"

    def offsets(self) -> list[int]:
        """Offsets that have a file, in order."""
        if not self.folder.exists():
            return []
        names = (path.name for path in self.folder.iterdir())
        whole = (name for name in names if name.endswith(SUFFIX) and not name.startswith("."))
        return sorted(int(name.removesuffix(SUFFIX)) for name in whole)

    def read(self, offset: int) -> tuple[Layer, Baselines]:
        """All pets as of an offset, and the layer of its file.

        Raises:
            BaselinesMissingError: it has no file, or one of those below it is gone.
            UnknownFormatError: a file is of another release, or not whole.
        """
        snapshots = [self._snapshot(at) for at in self.chain(offset)]
        layers = [one.baselines for one in reversed(snapshots)]
        return snapshots[0].layer, overlay(layers)

    def chain(self, offset: int) -> list[int]:
        """The offsets of the files that are read for an offset, itself first.

        Raises:
            BaselinesMissingError, UnknownFormatError: as `read` does.
        """
        found: list[int] = []
        at: int | None = offset
        while at is not None:
            found.append(at)
            at = self._layer(at).since
        return found

    def _layer(self, offset: int) -> Layer:
        """What a file says of itself; its pets are not read."""
        try:
            with self.path(offset).open("rb") as file:
                return parse_layer(file.readline())
        except FileNotFoundError:
            raise self._missing(offset) from None

    def _snapshot(self, offset: int) -> Snapshot:
        content = self.files.read_bytes(self.path(offset))
        if content is None:
            raise self._missing(offset)
        return parse_snapshot(content)

    def _missing(self, offset: int) -> BaselinesMissingError:
        return BaselinesMissingError(
            f"the baselines of partition {self.partition} as of offset {offset} are missing: "
            f"{self.path(offset)}"
        )

    def write(
        self, offset: int, snapshot: Snapshot, may_still: Callable[[], None] = lambda: None
    ) -> UPath:
        """Write the file of an offset, unless `may_still` raises at the last moment.

        Other files are the same whoever writes them. This one also depends on where its batch
        began: the whole of a range that was cut meanwhile ends at the same offset as its rest.
        """
        return self.files.write(self.path(offset), encode_snapshot(snapshot), may_still)
