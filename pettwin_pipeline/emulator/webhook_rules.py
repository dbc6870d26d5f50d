"""Where webhooks may be posted to, and how patiently. Pure."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCHEMES: Final = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """What may be posted to.

    Args:
        hosts: names or addresses, `alerts.example.org`, or with one port, `10.0.0.7:9000`.
        timeout_s: how long an answer is waited for.
        pauses_s: before each retry; as many as there are.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    timeout_s: float = 15.0
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)

    def target(self, url: str) -> SplitResult | str:
        """The parts of an address that may be posted to, or why it may not."""
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return "the address cannot be read"
        if parts.scheme not in _SCHEMES or not host:
            return "the address is not http or https"
        if not url.isprintable() or " " in url:
            return "the address has blanks or control characters"
        told = {host} if port is None else {host, f"{host}:{port}"}
        if not told & self.hosts:
            return f"{host} is not on the list of addresses that webhooks may be posted to"
        return parts
