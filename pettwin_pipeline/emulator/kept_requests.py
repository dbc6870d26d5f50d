"""The last requests as they came, for people who wonder what their program sent. Bounded.

Keys are not kept: of a header that carries one only its name is.
"""

import re
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final

MOST: Final = 1_000
LARGEST_BODY: Final = 64 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024
SECRET_HEADERS: Final = frozenset({"dd-api-key", "dd-application-key", "authorization", "cookie"})

VARIABLES: Final = "/api/v1/integration/webhooks/configuration/custom-variables"
_KEY: Final = re.compile(r"((?:^|&)(?:api_key|application_key)=)[^&]*")


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as it came, and the status that it was answered with."""

    at: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str
    """The beginning of it, unpacked; bytes that are no text are replaced."""
    body_bytes: int
    status: int


class KeptRequests:
    """The newest requests; the oldest go first when there are too many, or too much of them."""

    def __init__(self) -> None:
        self._kept: deque[KeptRequest] = deque()
        self._bytes = 0
        self.seen = 0
        """How many there were, the forgotten ones too."""

    def keep(self, request: KeptRequest) -> None:
        """Remember one."""
        self.seen += 1
        self._kept.append(request)
        self._bytes += _weight(request)
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            self._bytes -= _weight(self._kept.popleft())

    def newest(self, count: int, prefix: str = "") -> list[dict[str, Any]]:
        """The newest whose paths begin so, newest first."""
        found = (one for one in reversed(self._kept) if one.path.startswith(prefix))
        return [asdict(one) for one, _ in zip(found, range(count), strict=False)]

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._bytes = 0


def _weight(request: KeptRequest) -> int:
    return len(request.body) + len(request.path) + len(request.query) + 500


def shown_body(path: str, raw: bytes) -> str:
    """The beginning of a body; stars where it may hold the value of a secret variable."""
    if path.startswith(VARIABLES):
        return "***"
    return raw[:LARGEST_BODY].decode("utf-8", "replace")


def without_keys(query: str) -> str:
    """A query string, with stars for keys: old clients put them there."""
    return _KEY.sub(r"\1***", query)


def without_secrets(headers: dict[str, str]) -> dict[str, str]:
    """The headers, with stars for keys."""
    return {name: "***" if name in SECRET_HEADERS else text for name, text in headers.items()}
