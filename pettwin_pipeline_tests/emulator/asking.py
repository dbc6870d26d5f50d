"""Asking a local Datadog over HTTP, as a program without a client would."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pettwin_pipeline.emulator.server import LocalDatadog

KEYS: Mapping[str, str] = {"DD-API-KEY": "any", "DD-APPLICATION-KEY": "any"}


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)

    @property
    def errors(self) -> list[Any]:
        """Of a refusal."""
        return list(self.json["errors"])


def ask(
    local: LocalDatadog,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] = KEYS,
) -> Answered:
    """One request; `body` is JSON, or bytes as they are sent."""
    where = urlsplit(local.address)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    try:
        connection.request(method, path, raw, dict(headers))
        answer = connection.getresponse()
        told = {name.lower(): text for name, text in answer.getheaders()}
        return Answered(answer.status, told, answer.read())
    finally:
        connection.close()
