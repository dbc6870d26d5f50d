"""Shared dashboards: a token that opens a dashboard without a login, and who is invited.

The page behind `public_url` is drawn elsewhere; here is the resource. No mail is sent.
"""

from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import author
from pettwin_pipeline.emulator.refusals import bad_request, not_found
from pettwin_pipeline.emulator.resources import dashboards
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

KIND: Final = "public_dashboard"
_SESSION_DAYS: Final = 30
_INVITATION: Final = "public_dashboard_invitation"
_CHANGEABLE: Final[tuple[str, ...]] = (
    "expiration", "global_time", "global_time_selectable_enabled", "selectable_template_vars",
    "share_list", "share_type", "status", "title", "viewing_preferences", "embeddable_domains",
)  # fmt: skip
PUBLIC_PAGE: Final = "/p/sb/"
"""Where the page of a token is."""


def _find(state: State, call: Call) -> Document:
    found = state.storage.get(KIND, call.names["token"])
    if found is None:
        raise not_found(f"Shared dashboard with token {call.names['token']} not found")
    return found


def _shown(document: Document, host: str) -> Document:
    shown = {name: value for name, value in document.items() if name != "invitations"}
    return {**shown, "public_url": f"http://{host}{PUBLIC_PAGE}{document['token']}"}


def _host(call: Call) -> str:
    return call.headers.get("host", "127.0.0.1")


def _invitees(state: State, told: dict[str, Any]) -> list[Document]:
    if told["share_type"] != "invite":
        return []
    now = iso(state.clock.now())
    emails = [one.get("email") for one in told.get("invitees") or () if isinstance(one, dict)]
    return [
        {"email": email, "access_expiration": None, "last_accessed": None, "created_at": now}
        for email in [*(told.get("share_list") or ()), *emails]
    ]


def _create(state: State, call: Call) -> Answer:
    body = call.checked()
    dashboard = state.storage.get(dashboards.KIND, body["dashboard_id"])
    if dashboard is None:
        raise not_found(f"{body['dashboard_type']} {body['dashboard_id']} not found")
    made = {
        "author": author(),
        "dashboard_id": dashboard["id"],
        "dashboard_type": body["dashboard_type"],
        "status": "active",
        "title": dashboard["title"],
        "viewing_preferences": {},
        "expiration": None,
        "last_accessed": None,
        "global_time_selectable_enabled": False,
        "global_time": {"live_span": "1h"},
        "selectable_template_vars": None,
        "token": f"{state.dice.hexadecimal(16)}-{state.dice.hexadecimal(32)}",
        "created": iso(state.clock.now()),
        "share_type": "open",
        "share_list": [],
        "session_duration_in_days": _SESSION_DAYS,
        "embeddable_domains": [],
    }
    document = _changed(state, made, body)
    state.storage.put(KIND, document["token"], document)
    return Answer(_shown(document, _host(call)))


def _changed(state: State, before: Document, body: Document) -> Document:
    told = {name: body[name] for name in _CHANGEABLE if body.get(name) is not None}
    document = {**before, **told}
    if document["share_type"] == "invite" and not (document["share_list"] or body.get("invitees")):
        raise bad_request("'share_list' is required when 'share_type' is 'invite'")
    if "share_list" in told or "share_type" in told or "invitees" in body:
        document["invitees"] = _invitees(state, {**document, "invitees": body.get("invitees")})
    document.setdefault("invitees", [])
    return document


def _read(state: State, call: Call) -> Answer:
    return Answer(_shown(_find(state, call), _host(call)))


def _update(state: State, call: Call) -> Answer:
    document = _changed(state, _find(state, call), call.checked())
    state.storage.put(KIND, document["token"], document)
    return Answer(_shown(document, _host(call)))


def _delete(state: State, call: Call) -> Answer:
    token = _find(state, call)["token"]
    state.storage.remove(KIND, token)
    return Answer({"deleted_public_dashboard_token": token})


def _invite(state: State, call: Call) -> Answer:
    document = _find(state, call)
    told = call.checked().get("data")
    many = told if isinstance(told, list) else [told]
    sent = [_invitation(state, document, one) for one in many]
    document["invitations"] = [*document.get("invitations", ()), *sent]
    state.storage.put(KIND, document["token"], document)
    return Answer({"data": sent if isinstance(told, list) else sent[0]}, 201)


def _invitation(state: State, document: Document, told: Any) -> Document:
    attributes = told.get("attributes") if isinstance(told, dict) else None
    email = attributes.get("email") if isinstance(attributes, dict) else None
    if not isinstance(email, str) or "@" not in email:
        raise bad_request("Invalid email address")
    attributes = {
        "created_at": iso(state.clock.now()),
        "email": email,
        "has_session": False,
        "invitation_expiry": iso(state.clock.now()),
        "session_expiry": None,
        "share_token": document["token"],
    }
    return {"type": _INVITATION, "attributes": attributes}


def _invitations(state: State, call: Call) -> Answer:
    sent = _find(state, call).get("invitations", [])
    size, number = call.asked_int("page_size", 100, 1), call.asked_int("page_number", 0)
    page = sent[number * size : (number + 1) * size]
    return Answer({"data": page, "meta": {"page": {"total_count": len(sent)}}})


def _revoke(state: State, call: Call) -> Answer:
    document = _find(state, call)
    told = call.checked().get("data")
    gone = {
        one["attributes"].get("email")
        for one in (told if isinstance(told, list) else [told])
        if isinstance(one, dict) and isinstance(one.get("attributes"), dict)
    }
    sent = document.get("invitations", [])
    document["invitations"] = [one for one in sent if one["attributes"]["email"] not in gone]
    state.storage.put(KIND, document["token"], document)
    return NO_CONTENT


ROUTES: Final = (
    Route("POST", "/api/v1/dashboard/public", _create),
    Route("GET", "/api/v1/dashboard/public/{token}", _read),
    Route("PUT", "/api/v1/dashboard/public/{token}", _update),
    Route("DELETE", "/api/v1/dashboard/public/{token}", _delete),
    Route("GET", "/api/v1/dashboard/public/{token}/invitation", _invitations),
    Route("POST", "/api/v1/dashboard/public/{token}/invitation", _invite),
    Route("DELETE", "/api/v1/dashboard/public/{token}/invitation", _revoke),
)
