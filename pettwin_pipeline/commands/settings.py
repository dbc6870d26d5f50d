"""`pettwin settings`: every setting, its value, what is allowed and what it does."""

import re
from collections.abc import Callable
from typing import Any, Final, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from pettwin_pipeline.settings import Settings

_PASSWORD: Final = re.compile(r"(://[^/@\s]*?:)[^/@\s]*@")
"""Of a URL, as in s3://key:secret@bucket."""


def run(say: Callable[[str], None]) -> None:
    """Print the table."""
    settings = Settings.load()
    table = Table(box=None, pad_edge=False)
    for title in ("variable", "value", "meaning"):
        table.add_column(title, overflow="fold")
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        table.add_row(name.upper(), render_value(value), describe(field))
    Console(highlight=False, markup=False).print(table)
    for service in settings.services():
        say(f"{service.name} ({service.state}): {service.detail}")


def render_value(value: Any) -> str:
    """A value as it may be shown."""
    if isinstance(value, SecretStr):
        return "(secret)"
    return "" if value is None else _PASSWORD.sub(r"\1(secret)@", str(value))


def describe(field: FieldInfo) -> str:
    """The meaning, and the values that are allowed where they are few."""
    choices = [arg for arg in get_args(field.annotation) if isinstance(arg, str)]
    return f"{field.description}" + (f" [{', '.join(choices)}]" if choices else "")
