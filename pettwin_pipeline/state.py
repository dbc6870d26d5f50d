"""Where everything that is kept on disk lies, and what the running stack says of itself.

The folder is found once, by the first process, and handed to every child as `PETTWIN_STATE_DIR`.
`stack.json` is written by `pettwin up` and read by every other process: the broker's address above
all. Knows paths and that file; no environment, no Kafka, no Dagster.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal

from pettwin_pipeline.errors import UnknownFormatError

STACK_FORMAT: Final = 1
BrokerKind = Literal["kafka", "embedded"]


@dataclass(frozen=True, slots=True)
class Stack:
    """What `pettwin up` runs at the moment: addresses and process ids."""

    pid: int
    broker: str
    """`host:port` of the broker on loopback."""
    broker_kind: BrokerKind
    epoch: str
    """Identity of the topics: drawn anew when an embedded broker starts; empty for Kafka, which has
    topic ids of its own."""
    children: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    """Other addresses by name, for example `dagster` or `datadog`."""
    format: int = STACK_FORMAT


@dataclass(frozen=True, slots=True)
class StateFolder:
    """The layout of one state folder. Two stacks with two folders run side by side."""

    root: Path

    @property
    def stack_file(self) -> Path:
        """What runs, written by `pettwin up`."""
        return self.root / "stack.json"

    @property
    def ledger_file(self) -> Path:
        """The default ledger, SQLite."""
        return self.root / "ledger.sqlite"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of this stack."""
        return self.root / "dagster"

    @property
    def data(self) -> Path:
        """Readings, scores, baselines: the default of PETTWIN_DATA_URL."""
        return self.root / "data"

    @property
    def logs(self) -> Path:
        """One log a supervised process."""
        return self.root / "logs"

    def write_stack(self, stack: Stack) -> None:
        """Replace `stack.json` whole: a reader sees the old one or the new one."""
        self.root.mkdir(parents=True, exist_ok=True)
        temporary = self.stack_file.with_suffix(f".{os.getpid()}.new")
        temporary.write_text(json.dumps(asdict(stack), indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.stack_file)

    def remove_stack(self) -> None:
        """Say that nothing runs any more."""
        self.stack_file.unlink(missing_ok=True)

    def read_stack(self) -> Stack | None:
        """The running stack, or None where none runs (no file, or its process is gone).

        Raises:
            UnknownFormatError: the file was written by another release.
        """
        try:
            content = json.loads(self.stack_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if content.get("format") != STACK_FORMAT:
            raise UnknownFormatError(
                f"{self.stack_file} has format {content.get('format')!r}, this release knows "
                f"{STACK_FORMAT}: stop the stack that wrote it, then remove the file"
            )
        stack = Stack(**content)
        return stack if _runs(stack.pid) else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def find_state_root(start: Path, user_state: Path) -> Path:
    """`.pettwin` beside the nearest workspace.yaml at or above `start`, else the user's folder."""
    for folder in (start, *start.parents):
        if (folder / "workspace.yaml").is_file():
            return folder / ".pettwin"
    return user_state
