"""The files that the stack writes for others (Kafka, Maven, Dagster), as `string.Template`s."""

from importlib.resources import files
from string import Template


def render(name: str, **values: str | int) -> str:
    """The text of template `name` with its `$placeholders` filled in."""
    text = files(__name__).joinpath(name).read_text(encoding="utf-8")
    return Template(text).substitute(values)
