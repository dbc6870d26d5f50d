"""Around monitors (v2): policies for their tags, rules for their notifications, templates."""

from collections.abc import Iterator
from typing import Any, Final

from pettwin_pipeline.emulator.clock import iso
from pettwin_pipeline.emulator.exchange import NO_CONTENT, Answer, Call, Route
from pettwin_pipeline.emulator.identity import USER_UUID, user, user_link
from pettwin_pipeline.emulator.refusals import not_found, refuse
from pettwin_pipeline.emulator.resources.downtimes_v2 import UUID
from pettwin_pipeline.emulator.schema import check_model
from pettwin_pipeline.emulator.state import State
from pettwin_pipeline.emulator.storage import Document

POLICY: Final = "monitor_policy"
RULE: Final = "monitor_notification_rule"
TEMPLATE: Final = "monitor_template"
_NEVER: Final = "1970-01-01T00:00:00+00:00"
_TEMPLATED: Final[tuple[str, ...]] = (
    "title",
    "description",
    "monitor_definition",
    "tags",
    "template_variables",
)


def _find(state: State, call: Call, kind: str, name: str, words: str) -> Document:
    asked = call.names[name]
    if not UUID.fullmatch(asked):
        refuse(f"Invalid URL param: {name} must be an uuid")
    found = state.storage.get(kind, asked)
    if found is None:
        raise not_found(words)
    return found


def _keep(state: State, kind: str, document: Document) -> Document:
    state.storage.put(kind, document["id"], document)
    return document


def _policy(state: State, call: Call, words: str) -> Document:
    return _find(state, call, POLICY, "policy_id", words)


def _settled_policy(attributes: Document) -> Document:
    return {"policy_type": attributes["policy_type"], "policy": attributes["policy"]}


def _create_policy(state: State, call: Call) -> Answer:
    attributes = _settled_policy(call.checked_attributes())
    document = {"type": "monitor-config-policy", "attributes": attributes, "id": state.dice.uuid()}
    return Answer({"data": _keep(state, POLICY, document)})


def _read_policy(state: State, call: Call) -> Answer:
    return Answer({"data": _policy(state, call, "Monitor configuration policy not found")})


def _list_policies(state: State, call: Call) -> Answer:
    del call
    return Answer({"data": state.storage.all(POLICY)})


def _update_policy(state: State, call: Call) -> Answer:
    document = _policy(state, call, "Monitor configuration policy not found")
    document["attributes"] |= _settled_policy(call.checked_attributes())
    return Answer({"data": _keep(state, POLICY, document)})


def _delete_policy(state: State, call: Call) -> Answer:
    document = _policy(state, call, "Monitor config policy not found")
    state.storage.remove(POLICY, document["id"])
    return NO_CONTENT


def _rule(state: State, call: Call) -> Document:
    return _find(state, call, RULE, "rule_id", "Monitor Notification Rule not found")


def _settled_rule(told: Document) -> Document:
    known = ("name", "filter", "recipients", "conditional_recipients", "bundle_config")
    rule = {name: told[name] for name in known if told.get(name) is not None}
    if ("recipients" in rule) == ("conditional_recipients" in rule):
        refuse("Exactly one of 'recipients' and 'conditional_recipients' must be set")
    if any(handle.startswith("@") for handle in _handles(rule)):
        refuse("Invalid recipients: they must not start with '@'")
    tags = rule.get("filter", {}).get("tags") or ()
    if not all(isinstance(tag, str) and ":" in tag for tag in tags):
        refuse("Invalid filter: tags must be key:value")
    return rule


def _handles(rule: Document) -> Iterator[str]:
    yield from rule.get("recipients") or ()
    conditional = rule.get("conditional_recipients") or {}
    yield from conditional.get("fallback_recipients") or ()
    for condition in conditional.get("conditions") or ():
        yield from condition.get("recipients") or ()


def _shown_rule(document: Document, included: bool = True) -> Document:
    shown = {**document, "relationships": {"created_by": user_link()}}
    return {"data": shown, "included": [user()]} if included else {"data": shown}


def _create_rule(state: State, call: Call) -> Answer:
    rule = _settled_rule(call.checked_attributes())
    attributes = {**rule, "created_at": iso(state.clock.now()), "modified_at": _NEVER}
    kind = "monitor-notification-rule"
    document = {"type": kind, "attributes": attributes, "id": state.dice.uuid()}
    return Answer(_shown_rule(_keep(state, RULE, document)))


def _read_rule(state: State, call: Call) -> Answer:
    document = _rule(state, call)
    return Answer(_shown_rule(document, "created_by" in (call.asked("include") or "")))


def _list_rules(state: State, call: Call) -> Answer:
    found = [_shown_rule(one)["data"] for one in state.storage.all(RULE)]
    start = call.asked_int("start", call.asked_int("page", 0) * call.asked_int("per_page", 100))
    found = found[start : start + call.asked_int("per_page", 100, 1)]
    included = "created_by" in (call.asked("include") or "") and found
    return Answer({"data": found} | ({"included": [user()]} if included else {}))


def _update_rule(state: State, call: Call) -> Answer:
    document = _rule(state, call)
    rule = _settled_rule(call.checked_attributes())
    times = {"created_at": document["attributes"]["created_at"]}
    document["attributes"] = {**rule, **times, "modified_at": iso(state.clock.now())}
    return Answer(_shown_rule(_keep(state, RULE, document)))


def _delete_rule(state: State, call: Call) -> Answer:
    state.storage.remove(RULE, _rule(state, call)["id"])
    return NO_CONTENT


def _template(state: State, call: Call) -> Document:
    return _find(state, call, TEMPLATE, "template_id", "Monitor template not found")


def _settled_template(told: Document) -> Document:
    definition: Any = told["monitor_definition"]
    words = "Invalid monitor_definition or template variables"
    if not definition:
        refuse(f"{words}: Monitor definition cannot be empty.")
    problem = check_model("v1.Monitor", definition, "monitor_definition")
    if problem:
        refuse(f"{words}: {problem.said}")
    template = {name: told[name] for name in _TEMPLATED if name in told}
    return {"description": None, "tags": [], "template_variables": [], **template}


def _create_template(state: State, call: Call) -> Answer:
    now = iso(state.clock.now())
    made = {"creator_uuid": USER_UUID, "created": now, "modified": now, "version": 0}
    attributes = {**_settled_template(call.checked_attributes()), **made}
    kind = "monitor-user-template"
    document: Document = {"type": kind, "attributes": attributes, "id": state.dice.uuid()}
    _keep(state, TEMPLATE, {**document, "versions": [_version(document["id"], attributes)]})
    return Answer({"data": document})


def _version(version_id: str, attributes: Document) -> Document:
    told = {name: attributes[name] for name in (*_TEMPLATED, "version", "created")}
    return {**told, "id": version_id}


def _shown_template(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "versions"}


def _read_template(state: State, call: Call) -> Answer:
    document = _template(state, call)
    if call.asked_bool("with_all_versions"):
        document["attributes"]["versions"] = document["versions"]
    return Answer({"data": _shown_template(document)})


def _list_templates(state: State, call: Call) -> Answer:
    del call
    return Answer({"data": [_shown_template(one) for one in state.storage.all(TEMPLATE)]})


def _update_template(state: State, call: Call) -> Answer:
    document = _template(state, call)
    before = document["attributes"]
    told = _settled_template(call.checked_attributes())
    now = iso(state.clock.now())
    attributes = {**before, **told, "modified": now, "version": before["version"] + 1}
    versions = [*document["versions"], _version(state.dice.uuid(), attributes)]
    changed = {**document, "attributes": attributes, "versions": versions}
    shown = _shown_template(_keep(state, TEMPLATE, changed))
    return Answer({"data": {**shown, "attributes": {**attributes, "versions": versions}}})


def _delete_template(state: State, call: Call) -> Answer:
    state.storage.remove(TEMPLATE, _template(state, call)["id"])
    return NO_CONTENT


def _validate_template(state: State, call: Call) -> Answer:
    del state
    _settled_template(call.checked_attributes())
    return NO_CONTENT


def _validate_existing_template(state: State, call: Call) -> Answer:
    _template(state, call)
    return _validate_template(state, call)


ROUTES: Final = (
    Route("POST", "/api/v2/monitor/policy", _create_policy),
    Route("GET", "/api/v2/monitor/policy", _list_policies),
    Route("GET", "/api/v2/monitor/policy/{policy_id}", _read_policy),
    Route("PATCH", "/api/v2/monitor/policy/{policy_id}", _update_policy),
    Route("DELETE", "/api/v2/monitor/policy/{policy_id}", _delete_policy),
    Route("POST", "/api/v2/monitor/notification_rule", _create_rule),
    Route("GET", "/api/v2/monitor/notification_rule", _list_rules),
    Route("GET", "/api/v2/monitor/notification_rule/{rule_id}", _read_rule),
    Route("PATCH", "/api/v2/monitor/notification_rule/{rule_id}", _update_rule),
    Route("DELETE", "/api/v2/monitor/notification_rule/{rule_id}", _delete_rule),
    Route("POST", "/api/v2/monitor/template", _create_template),
    Route("GET", "/api/v2/monitor/template", _list_templates),
    Route("POST", "/api/v2/monitor/template/validate", _validate_template),
    Route("GET", "/api/v2/monitor/template/{template_id}", _read_template),
    Route("PUT", "/api/v2/monitor/template/{template_id}", _update_template),
    Route("DELETE", "/api/v2/monitor/template/{template_id}", _delete_template),
    Route("POST", "/api/v2/monitor/template/{template_id}/validate", _validate_existing_template),
)
