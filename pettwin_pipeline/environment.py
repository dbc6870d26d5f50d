"""What the environment and `.env` say, before it is checked. Read for `settings` and nobody else.

Dagster puts the lines of a `.env` in its working folder over the environment of its code servers
and runs; everywhere else a variable beats the file. So that a part of the stack sees what the stack
saw, the stack hands it the variables once more, in one that no `.env` has: `hand_down`.
"""

import difflib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from dotenv import dotenv_values

from pettwin_pipeline.errors import SettingsError

OWN_PREFIX: Final = "PETTWIN_"
"""Variables with this prefix are ours: one that no setting has is refused."""
SHARED_PREFIX: Final = "KAFKA_"
"""Others use this prefix too (KAFKA_HEAP_OPTS): refused only where it looks misspelt."""
HANDED_DOWN: Final = "PETTWIN_HANDED_DOWN"
"""JSON of the variables that a stack hands to its parts. Not a setting: nobody sets it by hand."""


def read_environment() -> dict[str, str | None]:
    """Every variable: of `.env`, above it the environment, above it what a stack handed down.

    Raises:
        SettingsError: `.env` is not text.
    """
    given: dict[str, str | None] = {**_dotenv(), **os.environ}
    handed_down = given.pop(HANDED_DOWN, None)
    return given | (json.loads(handed_down) if handed_down else {})


def hand_down(known: Collection[str], more: Mapping[str, str]) -> dict[str, str]:
    """The variables of a part of the stack: our settings as this process was given them, and more.

    Args:
        known: names of all settings.
        more: settings of the part, above those of this process.
    """
    given = {name: value for name, value in os.environ.items() if name.upper() in known}
    earlier = json.loads(os.environ.get(HANDED_DOWN) or "{}")
    return {**more, HANDED_DOWN: json.dumps({**given, **earlier, **more})}


def _dotenv() -> dict[str, str | None]:
    try:
        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env of the current folder cannot be read: {error}") from None


def refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    """Refuse variables that look like settings and are none.

    Raises:
        SettingsError: one line for each, with the setting that was perhaps meant.
    """
    lines = []
    for name in sorted(one for one in names if one.upper() not in known):
        meant = name.upper()
        near = difflib.get_close_matches(meant, sorted(known), n=1, cutoff=0.8)
        if near and meant.startswith((OWN_PREFIX, SHARED_PREFIX)):
            lines.append(f"{name}: unknown setting; did you mean {near[0]}?")
        elif meant.startswith(OWN_PREFIX):
            lines.append(f"{name}: unknown setting; `pettwin settings` lists them")
    if lines:
        raise SettingsError("\n".join(lines))
