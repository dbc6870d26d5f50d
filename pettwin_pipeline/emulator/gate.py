"""Who may ask: keys as Datadog asks for them, and no page of another site.

A browser can be made to send requests to loopback, by a page elsewhere (its Origin tells) or by a
name that was made to point here (its Host tells). Both are refused, whatever the key.
"""

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from pettwin_pipeline.emulator.exchange import Call, KeysNeeded
from pettwin_pipeline.emulator.refusals import FORBIDDEN, Refusal

LOCAL_PLANE: Final = "/_local/"
LOOPBACK_NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def check_place(call: Call, host: str, names: Collection[str] = LOOPBACK_NAMES) -> None:
    """Refuse writes, and everything under `/_local/`, that come by a foreign name or page.

    Args:
        call: the request.
        host: its Host header.
        names: under which this server may be asked.

    Raises:
        Refusal: 403, which says what was foreign.
    """
    if call.method in _READS and not call.path.startswith(LOCAL_PLANE):
        return
    if _name_of(f"//{host}") not in names:
        raise Refusal(FORBIDDEN, f"Host {host!r} is not this server")
    origin = call.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        raise Refusal(FORBIDDEN, f"Origin {origin!r} is not this server")
    if call.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Refusal(FORBIDDEN, "Requests from other sites are not answered")


def _name_of(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def check_keys(call: Call, needed: KeysNeeded, accepted: Collection[str] = ()) -> None:
    """Refuse a call without the keys that its route asks for.

    Args:
        call: the request.
        needed: by the route.
        accepted: API keys; none: any.

    Raises:
        Refusal: 403 as Datadog answers it.
    """
    if needed == "none":
        return
    api = call.headers.get("dd-api-key") or call.asked("api_key") or _bearer(call.headers)
    if not api:
        raise Refusal(FORBIDDEN, "API key required")
    if accepted and api not in accepted:
        raise Refusal(FORBIDDEN, "Forbidden")
    application = call.headers.get("dd-application-key") or call.asked("application_key")
    if needed == "both" and not (application or _bearer(call.headers)):
        raise Refusal(FORBIDDEN, "Forbidden")


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
