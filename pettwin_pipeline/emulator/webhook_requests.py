"""A webhook and a notification as one HTTP request. Pure: nothing is sent here.

Variables stand in the payload, the headers and the address: those of the notification, then custom
ones. What is known of neither stays as it is written.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode

from pettwin_pipeline.datadog_protocol.monitor_messages import render_payload
from pettwin_pipeline.emulator.storage import Document
from pettwin_pipeline.emulator.webhook_rules import WebhookRules


class NotPosted(Exception):  # noqa: N818 - an answer, not a failure
    """A webhook that is not posted; says why. `refused`: its address is not allowed."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A POST.

    Args:
        secure: whether by TLS.
        host: name or address.
        port: None: that of the scheme.
        path: with its query.
        headers: with the type of the body.
        body: as it is sent.
    """

    secure: bool
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def place(self) -> str:
        """Scheme, host and port."""
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{self.host}" + ("" if self.port is None else f":{self.port}")


def request_of(
    webhook: Document, variables: Mapping[str, str], custom: Mapping[str, str], rules: WebhookRules
) -> WebhookRequest:
    """What is posted.

    Args:
        webhook: as it is configured.
        variables: of the notification.
        custom: of the account, secrets too.
        rules: where it may go.

    Raises:
        NotPosted: the address is not allowed, or what is configured makes no request.
    """
    known = {**custom, **variables}
    target = rules.target(render_payload(webhook["url"], known, as_json=False))
    if isinstance(target, str):
        raise NotPosted(target, refused=True)
    headers, body = _body(webhook, known)
    if target.username is not None:
        pair = f"{unquote(target.username)}:{unquote(target.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    headers.update(_custom_headers(webhook, known))
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    return WebhookRequest(
        target.scheme == "https",
        (target.hostname or "").lower(),
        target.port,
        path.encode("ascii", "backslashreplace").decode(),
        headers,
        body,
    )


def _body(webhook: Document, known: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    text = render_payload(webhook["payload"], known)
    if webhook.get("encode_as") != "form":
        return {"Content-Type": "application/json"}, text.encode()
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise NotPosted("a payload that is encoded as a form must be a JSON object")
    fields = {name: _field(value) for name, value in content.items()}
    return {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()


def _field(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _custom_headers(webhook: Document, known: Mapping[str, str]) -> dict[str, str]:
    text = webhook.get("custom_headers")
    if not text:
        return {}
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise NotPosted("the custom headers are no JSON object")
    headers = {
        str(name): render_payload(_field(value), known, as_json=False)
        for name, value in told.items()
    }
    if any(letter in text for text in (*headers, *headers.values()) for letter in "\r\n\0"):
        raise NotPosted("a custom header has a line break in it")
    return headers
