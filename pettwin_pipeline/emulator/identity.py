"""Who everything was made by: one organisation, one user. There are no accounts here."""

from typing import Any, Final

ORG_ID: Final = 1
ORG_NAME: Final = "local"
USER_ID: Final = 1
USER_UUID: Final = "00000000-0000-4000-8000-000000000001"
HANDLE: Final = "user@local.invalid"
NAME: Final = None
"""The recorded account has no name either; answers say null."""
_SINCE: Final = "2026-01-01T00:00:00.000000+00:00"


def creator() -> dict[str, Any]:
    """As monitors name it."""
    return {"name": NAME, "handle": HANDLE, "email": HANDLE, "id": USER_ID}


def author() -> dict[str, Any]:
    """As dashboards and lists name it."""
    return {"handle": HANDLE, "name": NAME}


def user_link() -> dict[str, Any]:
    """As a relationship of JSON:API."""
    return {"data": {"type": "users", "id": USER_UUID}}


def user() -> dict[str, Any]:
    """As an included object of JSON:API."""
    return {
        "type": "users",
        "id": USER_UUID,
        "attributes": {
            "name": NAME,
            "handle": HANDLE,
            "created_at": _SINCE,
            "modified_at": _SINCE,
            "email": HANDLE,
            "icon": "",
            "title": None,
            "verified": True,
            "service_account": False,
            "disabled": False,
            "allowed_login_methods": [],
            "status": "Active",
        },
    }
