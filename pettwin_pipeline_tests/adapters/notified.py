"""A notification, and channels for it."""

import json
from typing import Any

from pydantic import SecretStr

from pettwin_pipeline.adapters.ledger_outbox import Notification
from pettwin_pipeline.adapters.webhook import Webhook
from pettwin_pipeline.detection.alerts import encode_alert
from pettwin_pipeline.webhook_address import WebhookAddress, parse_webhook_address
from pettwin_pipeline_tests.adapters.ledgers import NOW_S, alert

SECRET = "s3cret"  # noqa: S105
PATH = "/hooks/s3cret-place?key=s3cret-key"


def notification(alert_id: str = "a1", **given: Any) -> Notification:
    """One that was claimed for the first time."""
    told = alert(alert_id, **given)
    return Notification(alert_id, "webhook", told.severity, encode_alert(told), 1, NOW_S)


def address_of(server: str) -> WebhookAddress:
    """A secret path of a server on this machine."""
    return parse_webhook_address(server + PATH, {"127.0.0.1", "::1", "localhost"})


def webhook(server: str, secret: str | None = SECRET, timeout_s: float = 5.0) -> Webhook:
    """The channel that posts to a server."""
    signing = SecretStr(secret) if secret is not None else None
    where = address_of(server)
    return Webhook(where, signing, env="test", service="pettwin", timeout_s=timeout_s)


def told(one: Notification) -> dict[str, Any]:
    """What a receiver is to see."""
    sent: dict[str, Any] = json.loads(one.body)
    return {"notification_id": one.alert_id, "env": "test", "service": "pettwin"} | sent
