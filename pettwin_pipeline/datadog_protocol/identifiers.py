"""Names of metrics and tags as Datadog stores them, whatever was sent."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

CLIENT_TELEMETRY: Final = "datadog.dogstatsd.client."
"""How the names begin that Datadog's own clients send about themselves."""

_LONGEST: Final = 200
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.]")
_BEFORE_A_NAME: Final = re.compile(r"^[^A-Za-z]+")
_NOT_IN_A_TAG: Final = re.compile(r"[^\w\-:/.]")


@lru_cache(maxsize=65_536)
def metric_name(text: str) -> str | None:
    """`text` as a metric's name: ASCII letters, digits, `_` and `.`, 200 at most.

    Anything else becomes `_`; what stands before the first letter falls away. None where there
    is no letter.
    """
    return _BEFORE_A_NAME.sub("", _NOT_IN_A_NAME.sub("_", text))[:_LONGEST] or None


@lru_cache(maxsize=65_536)
def tag(text: str) -> str:
    """`text` as a tag: lower case, `_` for what is not allowed, 200 characters at most."""
    return _NOT_IN_A_TAG.sub("_", text.strip().lower())[:_LONGEST]


def tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Sorted, each once, without the empty ones: so that one series has one form."""
    return tuple(sorted({found for text in texts if (found := tag(text))}))
