"""Where everything that is kept on disk lies, and what the running stack says of itself.

The folder is found once, by the first process, and handed to every child as `PETTWIN_STATE_DIR`.
`stack.json` is written by `pettwin up` and read by every other process: the broker's address above
all. Knows paths and that file; no environment, no Kafka, no Dagster.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from pettwin_pipeline.errors import UnknownFormatError

STACK_FORMAT: Final = 1
_SAME_START_S: Final = 10.0
"""A process that began further from the time in `stack.json` got the number of one that ended. The
clock may have been set meanwhile, and start times are told to the hundredth only."""
BrokerKind = Literal["kafka", "embedded"]


def _began_s(pid: int) -> float | None:
    """When a process began, seconds since 1970 UTC; None where it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _own_start_s() -> float:
    return _began_s(os.getpid()) or 0.0


@dataclass(frozen=True, slots=True)
class Stack:
    """What `pettwin up` runs at the moment: addresses and process ids."""

    pid: int
    broker: str
    """`host:port` of the broker on loopback; empty where none runs (`up --only datadog`)."""
    broker_kind: BrokerKind
    epoch: str
    """Identity of the topics: drawn anew when an embedded broker starts; empty for Kafka, which has
    topic ids of its own."""
    children: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    """Other addresses by name, for example `dagster` or `datadog`."""
    started_s: float = field(default_factory=_own_start_s)
    """When the process `pid` began: another one may get its number."""
    format: int = STACK_FORMAT

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        began_s = _began_s(self.pid)
        return began_s is not None and abs(began_s - self.started_s) < _SAME_START_S


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
    def datadog_file(self) -> Path:
        """What the local Datadog keeps, SQLite."""
        return self.root / "datadog.sqlite"

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
            UnknownFormatError: the file was written by another release, or is none of ours.
        """
        try:
            content = self.stack_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            stack = _parse_stack(content)
        except ValueError as error:
            raise UnknownFormatError(
                f"{self.stack_file}: {error}: stop the stack that wrote it, then remove the file"
            ) from None
        return stack if stack.runs else None


def _parse_stack(content: bytes) -> Stack:
    """What `stack.json` says; ValueError where it cannot have been written by this release."""
    try:
        told: Any = json.loads(content)
    except ValueError:
        raise ValueError("this is not JSON") from None
    if not isinstance(told, dict) or told.get("format") != STACK_FORMAT:
        found = told.get("format") if isinstance(told, dict) else None
        raise ValueError(f"this is format {found!r}, this release knows {STACK_FORMAT}")
    wanted = {one.name for one in fields(Stack)}
    if set(told) != wanted or not isinstance(told["pid"], int) or told["pid"] <= 0:
        raise ValueError(f"it should say {', '.join(sorted(wanted))}")
    return Stack(**told)


def find_state_root(start: Path, user_state: Path) -> Path:
    """`.pettwin` beside the nearest workspace.yaml at or above `start`, else the user's folder."""
    for folder in (start, *start.parents):
        if (folder / "workspace.yaml").is_file():
            return folder / ".pettwin"
    return user_state
