"""One request and its answer, as the resources see them. No sockets, no framework.

A resource is a tuple of `Route`s; each names a function that takes the state and the call and
returns an answer, or raises a `Refusal`.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from pettwin_pipeline.emulator.refusals import bad_request
from pettwin_pipeline.emulator.schema import check_body

if TYPE_CHECKING:
    from pettwin_pipeline.emulator.state import State

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
KeysNeeded = Literal["both", "api", "none"]
"""Which keys a route asks for: intake only the API key, pages none."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request."""

    method: str
    path: str
    names: Mapping[str, str] = field(default_factory=dict)
    """The variable parts of the path."""
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    raw: bytes = b""
    """The body, unpacked."""
    operation: str = ""
    """Method and path as the route has them: `GET /api/v1/monitor/{monitor_id}`."""

    def asked(self, name: str) -> str | None:
        """The last value of a query parameter."""
        values = self.query.get(name)
        return values[-1] if values else None

    def asked_int(self, name: str, default: int, least: int = 0) -> int:
        """A query parameter that must be a whole number.

        Raises:
            Refusal: 400, it is none.
        """
        text = self.asked(name)
        if text is None or text == "":
            return default
        try:
            number = int(text)
        except ValueError:
            raise bad_request(f"Invalid URL param: {name} must be an integer") from None
        if number < least:
            raise bad_request(f"Invalid URL param: {name} must be at least {least}")
        return number

    def asked_second(self, name: str) -> int:
        """A query parameter that must be there: a second since 1970.

        Raises:
            Refusal: 400, it is none.
        """
        text = self.asked(name) or ""
        if not text.removeprefix("-").isdecimal():
            raise bad_request(f"The parameter '{name}' is required")
        return int(text)

    def asked_bool(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return (self.asked(name) or "").lower() in {"true", "1", "yes"}

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            Refusal: 400, it is none.
        """
        try:
            return msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise bad_request("Invalid JSON structure") from None

    def document(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refusal: 400, it is none.
        """
        content = self.json()
        if not isinstance(content, dict):
            raise bad_request("Invalid JSON structure")
        return content

    def checked(self) -> dict[str, Any]:
        """The body as a JSON object that has the form which Datadog documents for this request.

        Raises:
            Refusal: 400, it has not.
        """
        content = self.document()
        check_body(self.operation, content)
        return content

    def checked_attributes(self) -> dict[str, Any]:
        """`data.attributes` of a checked JSON:API body.

        Raises:
            Refusal: 400, there are none.
        """
        data = self.checked().get("data")
        attributes = data.get("attributes") if isinstance(data, dict) else None
        if not isinstance(attributes, dict):
            raise bad_request("Invalid JSON structure: data.attributes is missing")
        return attributes


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    body: Any = None
    """JSON, or bytes, or None for an empty body; where it waits, a function that makes one."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = JSON
    after: "Future[Any] | None" = None
    """What it waits for, while others are answered."""

    def encoded(self) -> bytes:
        """The body as it is sent."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


NO_CONTENT: Final = Answer(status=204)
Handler = Callable[["State", Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path, `/api/v1/monitor/{monitor_id}`, and who answers."""

    method: str
    path: str
    handler: Handler
    keys: KeysNeeded = "both"
    apart: bool = False
    """Whether it may take long, and only reads: then others are answered meanwhile."""

    @property
    def operation(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"
