"""Webhooks, and the custom variables that their payloads may name. Secret values stay here."""

import json
import re
from typing import Final
from urllib.parse import urlsplit

from pettwin_pipeline.datadog_protocol.monitor_messages import DEFAULT_PAYLOAD
from pettwin_pipeline.emulator.exchange import Answer, Call, Route
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

WEBHOOK: Final = "webhook"
VARIABLE: Final = "webhook_variable"
_OF_VARIABLE: Final[tuple[str, ...]] = ("name", "value", "is_secret")
_VARIABLE_NAME: Final = re.compile(r"[A-Z0-9_]+")
_SETTABLE: Final[tuple[str, ...]] = ("name", "url", "payload", "encode_as", "custom_headers")


def _find(state: State, call: Call) -> Document:
    found = state.storage.get(WEBHOOK, call.names["webhook_name"])
    if found is None:
        raise not_found("Webhook does not exist")
    return found


def _settled(document: Document) -> Document:
    try:
        url = urlsplit(document["url"])
    except ValueError:
        refuse("Invalid webhook URL")
    if url.scheme not in {"http", "https"} or not url.hostname:
        refuse("Invalid webhook URL")
    if not document["name"].strip():
        refuse("Invalid webhook name")
    headers = document.get("custom_headers")
    if headers:
        try:
            told = json.loads(headers)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            refuse("Invalid custom headers")
    return {**document, "payload": document.get("payload") or DEFAULT_PAYLOAD}


def _create(state: State, call: Call) -> Answer:
    body = call.checked()
    told = {name: body[name] for name in _SETTABLE if body.get(name) is not None}
    document = _settled({"encode_as": "json", "custom_headers": None, **told})
    if state.storage.has(WEBHOOK, document["name"]):
        refuse("Webhook already exists")
    state.storage.put(WEBHOOK, document["name"], document)
    return Answer(document, 201)


def _read(state: State, call: Call) -> Answer:
    return Answer(_find(state, call))


def _update(state: State, call: Call) -> Answer:
    before = _find(state, call)
    body = call.checked()
    told = {name: body[name] for name in _SETTABLE if name in body}
    document = _settled({**before, **told})
    if document["name"] != before["name"] and state.storage.has(WEBHOOK, document["name"]):
        refuse("Webhook already exists")
    with state.storage.together():
        if document["name"] != before["name"]:
            state.storage.remove(WEBHOOK, before["name"])
        state.storage.put(WEBHOOK, document["name"], document)
    return Answer(document)


def _delete(state: State, call: Call) -> Answer:
    state.storage.remove(WEBHOOK, _find(state, call)["name"])
    return Answer({})


def _find_variable(state: State, call: Call) -> Document:
    found = state.storage.get(VARIABLE, call.names["custom_variable_name"])
    if found is None:
        raise not_found("Custom variable does not exist")
    return found


def _shown(variable: Document) -> Document:
    hidden = {"value"} if variable["is_secret"] else set()
    return {name: value for name, value in variable.items() if name not in hidden}


def _check_variable(variable: Document) -> Document:
    if not _VARIABLE_NAME.fullmatch(variable["name"]):
        refuse("Invalid custom variable name: use upper-case letters, digits and underscores")
    return variable


def _create_variable(state: State, call: Call) -> Answer:
    body = call.checked()
    variable = _check_variable({name: body[name] for name in _OF_VARIABLE})
    if state.storage.has(VARIABLE, variable["name"]):
        refuse("Custom variable already exists")
    state.storage.put(VARIABLE, variable["name"], variable)
    return Answer(_shown(variable), 201)


def _read_variable(state: State, call: Call) -> Answer:
    return Answer(_shown(_find_variable(state, call)))


def _update_variable(state: State, call: Call) -> Answer:
    before = _find_variable(state, call)
    body = call.checked()
    told = {name: body[name] for name in _OF_VARIABLE if name in body}
    if before["is_secret"] and told.get("is_secret") is False and "value" not in told:
        refuse("A secret can only be made public together with a new value")
    variable = _check_variable({**before, **told})
    renamed = variable["name"] != before["name"]
    if renamed and state.storage.has(VARIABLE, variable["name"]):
        refuse("Custom variable already exists")
    with state.storage.together():
        if renamed:
            state.storage.remove(VARIABLE, before["name"])
        state.storage.put(VARIABLE, variable["name"], variable)
    return Answer(_shown(variable))


def _delete_variable(state: State, call: Call) -> Answer:
    state.storage.remove(VARIABLE, _find_variable(state, call)["name"])
    return Answer({})


_HOOKS: Final = "/api/v1/integration/webhooks/configuration/webhooks"
_VARIABLES: Final = "/api/v1/integration/webhooks/configuration/custom-variables"
ROUTES: Final = (
    Route("POST", _HOOKS, _create),
    Route("GET", _HOOKS + "/{webhook_name}", _read),
    Route("PUT", _HOOKS + "/{webhook_name}", _update),
    Route("DELETE", _HOOKS + "/{webhook_name}", _delete),
    Route("POST", _VARIABLES, _create_variable),
    Route("GET", _VARIABLES + "/{custom_variable_name}", _read_variable),
    Route("PUT", _VARIABLES + "/{custom_variable_name}", _update_variable),
    Route("DELETE", _VARIABLES + "/{custom_variable_name}", _delete_variable),
)
