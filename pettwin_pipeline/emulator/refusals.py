"""What the local Datadog says when it refuses, in the shapes that Datadog's services use.

v1 and most of v2 answer `{"errors": ["text"]}`; newer services answer `{"errors": [{"title": ...,
"detail": ...}]}`. Source: recordings of the real API.
"""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

NOT_FOUND: Final = 404
BAD_REQUEST: Final = 400
FORBIDDEN: Final = 403


class Refusal(Exception):  # noqa: N818 - an answer, not a failure of ours
    """An answer of 4xx or 5xx, raised where the reason is known."""

    def __init__(self, status: int, *errors: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, *errors)
        self.status = status
        self.errors: list[Any] = list(errors)
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"errors": self.errors}


def bad_request(text: str) -> Refusal:
    """400 with one text."""
    return Refusal(BAD_REQUEST, text)


def not_found(text: str) -> Refusal:
    """404 with one text."""
    return Refusal(NOT_FOUND, text)


def titled(status: int, title: str, detail: str, *, with_status: bool = False) -> Refusal:
    """As newer services say it: a title and a detail."""
    told = {"status": str(status)} if with_status else {}
    return Refusal(status, {**told, "title": title, "detail": detail})


def refuse(text: str) -> NoReturn:
    """Raise 400 with one text."""
    raise bad_request(text)
