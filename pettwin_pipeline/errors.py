"""What can go wrong, and what the caller can do about it.

One tree, in one place. A `PettwinError` is for people: its text says what is wrong and how to mend
it, in one line, and the command line shows nothing else (exit code 2). Programming mistakes are not
in this tree and keep their tracebacks.
"""

from typing import ClassVar


class PettwinError(Exception):
    """Something that the person at the keyboard can mend; the text says how."""

    exit_code: ClassVar[int] = 2
    """Of the command that ends with it: 2 where nothing was done, 1 where the work failed."""


class SettingsError(PettwinError):
    """A setting is unknown or has a wrong value: change the environment variable that it names."""


class BrokerUnreachableError(PettwinError):
    """No broker answers: start one with `pettwin up`, or set KAFKA_BOOTSTRAP_SERVERS."""


class NoBrokerError(BrokerUnreachableError):
    """No broker is named and none runs here: `pettwin up` starts one."""


class BrokerRefusedError(PettwinError):
    """The broker answers but refuses: wrong credentials, protocol or rights."""


class TopicMissingError(PettwinError):
    """A topic does not exist: `pettwin topics create` makes it."""


class TopicReplacedError(PettwinError):
    """The topic ends before what was read of it: look whether it is the right one."""


class OffsetsMovedError(PettwinError):
    """Somebody else commits offsets for our consumer group: stop them, or name another group."""


class RangeUnknownError(PettwinError):
    """No such range stands as asked: `pettwin status` shows those that do."""


class DeliveryFailedError(PettwinError):
    """Messages were not acknowledged by the broker: look at the broker, then send them again."""

    exit_code = 1


class RangeNotReadError(PettwinError):
    """The exact offset range could not be read to its end in time: the range is tried again."""


class LeaseLostError(PettwinError):
    """Another run holds the lane now: this run may write nothing more."""


class LanesBusyError(PettwinError):
    """A run works on a lane that is needed free: try again when it has ended."""


class OvertakenError(PettwinError):
    """Another `pettwin redrive` began later and goes on with what is left: let it end."""

    exit_code = 1


class LedgerUnreachableError(PettwinError):
    """The ledger's database does not answer, is locked or full: mend it, the work goes on."""


class UnknownFormatError(PettwinError):
    """A kept file or table has a version that this release does not know: upgrade, or restore."""


class BaselinesMissingError(PettwinError):
    """Baselines are gone from the data folder: restore them, or go on without."""


class ReplayImpossibleError(PettwinError):
    """A range cannot be scored again: its readings or its baselines were removed."""


class UndeclaredPointError(PettwinError):
    """A metric, tag or value that is not in the metric catalogue: declare it there first."""


class InputFileError(PettwinError):
    """A file of the user's has no usable column or cannot be read."""


class QuerySyntaxError(PettwinError):
    """A query is none in Datadog's language: the column and the text say where and why."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        """From 1, in characters of the query."""
        self.problem = problem


class PayloadError(PettwinError):
    """A body that was posted to the local Datadog is refused: the status and Datadog's words."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class StackError(PettwinError):
    """A part of the local stack could not be started or died; the text names it and its log."""

    exit_code = 1
