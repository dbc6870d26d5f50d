"""Alerts to somebody's own service, over HTTP: one POST each, signed where a secret is set.

The receiver tells repetitions by `Idempotency-Key`, which is the alert's id. Redirects are not
followed: they would lead past the allow-list. Knows HTTP; what is tried again, and when, is the
outbox's business.
"""

import hashlib
import hmac
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import urllib3
from pydantic import SecretStr

from pettwin_pipeline import __version__
from pettwin_pipeline.adapters.ledger_outbox import Notification
from pettwin_pipeline.adapters.notifications import Failure, encode_notification
from pettwin_pipeline.webhook_address import WebhookAddress

TIMEOUT_S: Final = 10.0
MOST_WAIT_S: Final = 3600.0
"""A receiver may ask to be left alone for as long."""
_SHOWN: Final = 200
"""Characters of an answer that are told."""
_ACCEPTED: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


class Webhook:
    """Posts notifications to one address.

    Args:
        address: that may be posted to.
        secret: of the signature; None: nothing is signed.
        env, service: of the pipeline, for the receiver.
        timeout_s: of connecting, and of each wait for the answer.
    """

    name: Final = "webhook"
    peer: Final = "webhook"

    def __init__(
        self,
        address: WebhookAddress,
        secret: SecretStr | None,
        *,
        env: str,
        service: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        pools = {"http": urllib3.HTTPConnectionPool, "https": urllib3.HTTPSConnectionPool}
        # The pool is bound to this host and asks no proxy: nothing can lead elsewhere.
        self._pool = pools[address.scheme](
            address.host, address.port, timeout=urllib3.Timeout(total=timeout_s), retries=False
        )
        self._address = address
        # A secret out of a file often ends with a newline.
        self._secret = secret.get_secret_value().strip().encode() if secret else None
        self._env = env
        self._service = service
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def deliver(self, one: Notification, now_s: float) -> Failure | None:
        """Post it; any answer but 2xx is a failure, and so is none."""
        body = encode_notification(one, self._env, self._service)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": one.alert_id,
            "User-Agent": f"pettwin-pipeline/{__version__}",
        }
        if self._secret is not None:
            headers["X-Pettwin-Signature"] = sign(body, self._secret, int(now_s))
        try:
            answer = self._pool.urlopen(
                *("POST", self._address.target, body, headers),
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Failure(self._explain(error))
        text = _beginning(answer)
        answer.close()
        if answer.status in _ACCEPTED:
            return None
        return Failure(self._refusal(answer.status, text), _wait_s(answer.headers, now_s))

    def _refusal(self, status: int, text: str) -> str:
        told = f"{self._address.where} answered {status}"
        if status in _REDIRECTS:
            return f"{told}: redirects are not followed, set PETTWIN_WEBHOOK_URL to the new place"
        return f"{told}: {text}" if text else told

    def _explain(self, error: Exception) -> str:
        """What the network's errors mean; their own texts would show the address, secrets too."""
        where = self._address.where
        if isinstance(error, urllib3.exceptions.NameResolutionError):
            return f"{where}: there is no such host"
        if isinstance(error, urllib3.exceptions.NewConnectionError):
            return f"{where}: nobody answers there ({error.__cause__})"
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return f"{where}: no answer within {self._timeout_s:g} s"
        if isinstance(error, urllib3.exceptions.SSLError):
            return f"{where}: no connection by TLS: {error}"
        return f"{where}: the connection broke ({type(error).__name__})"


def sign(body: bytes, secret: bytes, now_s: int) -> str:
    """The signature header: `t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "t.body">`."""
    digest = hmac.new(secret, b"%d." % now_s + body, hashlib.sha256).hexdigest()
    return f"t={now_s},v1={digest}"


def _beginning(answer: urllib3.BaseHTTPResponse) -> str:
    """The beginning of an answer on one line, as far as it came at once."""
    try:
        content = answer.read1(4 * _SHOWN)
    except (urllib3.exceptions.HTTPError, OSError):
        return ""
    text = content.decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_SHOWN]


def _wait_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Retry-After, in seconds or as an HTTP date (RFC 9110, 10.2.3); None where it says nothing."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text.lstrip("0")[:9] or 0), MOST_WAIT_S))
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MOST_WAIT_S)
