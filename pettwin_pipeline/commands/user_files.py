"""A file that a user names: what it is, and how to say what is wrong with it."""

from pathlib import Path
from typing import Final, Literal

from pettwin_pipeline.errors import InputFileError, SettingsError

HEAD_BYTES: Final = 65536
"""Of a file that are looked at to say what it is."""
SHOWN_LETTERS: Final = 500
"""Of an error: a file may have anything for its columns."""
PARQUET: Final = b"PAR1"

Kind = Literal["heartbeats", "csv", "ndjson", "parquet"]


def parse_mapping(text: str) -> tuple[tuple[str, str], ...]:
    """`heart_rate=bpm,pet_id=dog` as pairs.

    Raises:
        SettingsError: a part has no `=`.
    """
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := [name for name, sign, column in pairs if not (sign and name and column)]:
        raise SettingsError(f"--map {wrong[0]}: allowed is our_field=their_column, comma separated")
    return tuple((name.strip(), column.strip()) for name, _, column in pairs)


def first_line(path: str) -> str:
    """The first line of a file, or its beginning.

    Raises:
        InputFileError: it is no text, or cannot be read twice.
    """
    with Path(path).open("rb") as file:
        if not file.seekable():
            raise InputFileError("cannot be read twice: save it to a file first")
        head = file.read(HEAD_BYTES)
    if b"\0" in head:
        raise InputFileError("not a text in UTF-8")
    return head.decode("utf-8-sig", errors="replace").partition("\n")[0]


def is_parquet(path: str) -> bool:
    """Whether a file begins as Parquet does."""
    with Path(path).open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def kind_of(path: str, first: str) -> Kind:
    """What a file of text is, by its name and first line."""
    if "beat_times_s" in first:
        return "heartbeats"
    if Path(path).suffix.lower() in {".ndjson", ".jsonl", ".json"} or first.startswith("{"):
        return "ndjson"
    return "csv"


def one_line(text: str) -> str:
    """A text that holds parts of a file, as it may be shown."""
    shown = text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
