"""Where alerts may be posted to: an address, and the allow-list that its host must be on.

An address is taken apart once, here; who posts connects to these parts and never reads the text
again, so that no second reader can see another host in it. Pure: knows no network.
"""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")
"""ASCII without spaces and backslashes, which readers of addresses disagree about."""
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class WebhookAddress:
    """An address that may be posted to.

    Attributes:
        host: a name in lower case without a dot at its end, or an IP address without brackets.
        target: path and query; may hold a secret.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str

    @property
    def where(self) -> str:
        """`host:port`, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether what is posted stays on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_hosts(text: str) -> frozenset[str]:
    """The hosts of a list with commas.

    Raises:
        ValueError: one of them is no host; the text says which.
    """
    return frozenset(_host(one.strip().strip("[]")) for one in text.split(",") if one.strip())


def parse_webhook_address(text: str, hosts: Collection[str]) -> WebhookAddress:
    """Take an address apart, and refuse what may not be posted to.

    Args:
        text: http:// or https://, a host, perhaps a port, a path and a query.
        hosts: that may be posted to, as `parse_hosts` gives them.

    Raises:
        ValueError: it may not; the text says why, and shows no more of the address than its host.
    """
    if not _VISIBLE.fullmatch(text):
        raise ValueError("an address has no spaces, backslashes or letters beyond ASCII")
    try:
        parts = urlsplit(text)
        scheme, port = parts.scheme, parts.port
    except ValueError:
        raise ValueError("this is not an address") from None
    if scheme not in _PORTS or not parts.hostname:
        raise ValueError("allowed: https://host/path, or http:// for this machine")
    if "@" in parts.netloc:
        raise ValueError("an address has no user and no password in it")
    if port == 0:
        raise ValueError("port 0 is no port")
    host = _host(parts.hostname)
    if host not in hosts:
        raise ValueError(f"its host {host!r} is not on the list of hosts that may be posted to")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = WebhookAddress(scheme, host, port or _PORTS[scheme], target)  # type: ignore[arg-type]
    if scheme == "http" and not found.is_local:
        raise ValueError(f"http:// is for this machine only: {host!r} needs https://")
    return found


def _host(text: str) -> str:
    """A host as it is compared: without the differences that mean nothing."""
    try:
        return ipaddress.ip_address(text).compressed
    except ValueError:
        name = text.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not a host: allowed is a name or an IP address, no port")
    return name
