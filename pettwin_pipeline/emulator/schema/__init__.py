"""Whether a body is what a request of Datadog's takes: required fields, types, values, limits.

The table, `bodies.json`, is written from the official client by `scripts/write_datadog_schema.py`.
Fields that it does not know are let through, as is null for a field that may be absent: the real
API is as lenient. Texts are those that the real API uses where they are known.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from pettwin_pipeline.emulator.refusals import bad_request

_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "object": (dict,),
    "list": (list,),
    "null": (type(None),),
}
_JSON_NAMES: Final = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "object": "object",
    "list": "array", "null": "null",
}  # fmt: skip
_TELLTALES: Final = ("type", "data_source", "request_type", "response_format")
"""Fields whose value says which of several forms an object has."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a body."""

    field: str
    """The name of the field, without the way to it."""
    text: str
    """In the words of JSON schema, as dashboards tell it."""
    parameter_text: str = ""
    """In the words of the API's parameters, where it has some."""

    @property
    def said(self) -> str:
        """As most resources tell it."""
        return self.parameter_text or self.text


@cache
def _table() -> dict[str, Any]:
    text = resources.files(__name__).joinpath("bodies.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def check_body(operation: str, body: Any) -> None:
    """Refuse a body that the request does not take.

    Args:
        operation: method and path as in the routes, `POST /api/v1/monitor`; one that the table does
            not know takes anything.
        body: JSON.

    Raises:
        Refusal: 400 with what is wrong.
    """
    types = _table()["bodies"].get(operation)
    problem = types and find_problem(types, body, "body")
    if problem:
        raise bad_request(problem.said)


def check_model(name: str, value: Any, field: str) -> Problem | None:
    """What is wrong with a value that should be of a model, `v1.WidgetDefinition`."""
    return find_problem([f"#{name}"], value, field)


def find_problem(types: list[Any], value: Any, field: str) -> Problem | None:
    """What is wrong with a value that may be of several types; None where one fits."""
    first: Problem | None = None
    for told in types:
        problem = _problem_of(told, value, field)
        if problem is None:
            return None
        first = first or problem
    return first


def _problem_of(told: Any, value: Any, field: str) -> Problem | None:
    if isinstance(told, dict):
        return _problem_of_many(told, value, field)
    if told == "any":
        return None
    if told.startswith("#"):
        return _problem_of_model(_table()["models"][told[1:]], value, field)
    if isinstance(value, _PYTHON[told]) and (told == "bool" or not isinstance(value, bool)):
        return None
    if told == "int" and isinstance(value, float) and value.is_integer():
        return None
    return Problem(field, f"{value!r} is not of type {_JSON_NAMES[told]!r}")


def _problem_of_many(told: dict[str, Any], value: Any, field: str) -> Problem | None:
    if "list" in told:
        if not isinstance(value, list):
            return Problem(field, f"{value!r} is not of type 'array'")
        found = (find_problem(told["list"], one, field) for one in value)
    else:
        if not isinstance(value, dict):
            return Problem(field, f"{value!r} is not of type 'object'")
        found = (find_problem(told["map"], one, key) for key, one in value.items())
    return next((problem for problem in found if problem), None)


def _problem_of_value(allowed: list[Any], value: Any, field: str) -> Problem | None:
    if isinstance(value, str | int | float) and value in allowed:
        return None
    said = f"Value of parameter '{field}' should be any of these {allowed}"
    return Problem(field, f"{value!r} is not one of {allowed}", said)


def _problem_of_model(model: dict[str, Any], value: Any, field: str) -> Problem | None:
    if "enum" in model:
        return _problem_of_value(model["enum"], value, field)
    if "of" in model:
        return find_problem(model["of"], value, field)
    if "one_of" in model:
        return _problem_of_one(model["one_of"], value, field)
    if value is None and model.get("nullable"):
        return None
    if not isinstance(value, dict):
        return Problem(field, f"{value!r} is not of type 'object'")
    return _problem_of_fields(model, value)


def _problem_of_fields(model: dict[str, Any], value: dict[str, Any]) -> Problem | None:
    required = model.get("required", ())
    for name in required:
        if name not in value:
            return Problem(name, f"{name!r} is a required property")
    for name, types in model["fields"].items():
        if name not in value or (value[name] is None and name not in required):
            continue
        problem = find_problem(types, value[name], name)
        limits = model.get("limits", {}).get(name)
        if problem is None and limits:
            problem = _beyond(limits, value[name], name)
        if problem:
            return problem
    return None


def _problem_of_one(types: list[Any], value: Any, field: str) -> Problem | None:
    fitting = [told for told in types if _may_be(told, value)]
    if len(fitting) == 1:
        return _problem_of(fitting[0], value, field)
    for told in fitting or types:
        if _problem_of(told, value, field) is None:
            return None
    return Problem(field, f"{value!r} is not valid under any of the given schemas")


def _may_be(told: Any, value: Any) -> bool:
    """Whether the telltale fields of an object allow a model."""
    if not (isinstance(value, dict) and isinstance(told, str) and told.startswith("#")):
        return False
    fields = _table()["models"][told[1:]].get("fields", {})
    told_by = [name for name in _TELLTALES if name in value and name in fields]
    return bool(told_by) and all(
        find_problem(fields[name], value[name], name) is None for name in told_by
    )


def _beyond(limits: dict[str, Any], value: Any, field: str) -> Problem | None:
    if isinstance(value, list):
        return _beyond_items(limits, len(value), field)
    if isinstance(value, str):
        least, most = limits.get("min_length", 0), limits.get("max_length", len(value))
        wrong = "short" if len(value) < least else "long" if len(value) > most else ""
        return Problem(field, f"{value!r} is too {wrong}") if wrong else None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    least, most = limits.get("inclusive_minimum", value), limits.get("inclusive_maximum", value)
    if value < least:
        return Problem(field, f"{value!r} is less than the minimum of {least}")
    too_large = value > most
    return Problem(field, f"{value!r} is greater than the maximum of {most}") if too_large else None


def _beyond_items(limits: dict[str, Any], count: int, field: str) -> Problem | None:
    least, most = limits.get("min_items", 0), limits.get("max_items", count)
    if least <= count <= most:
        return None
    word, bound = ("Minimum", least) if count < least else ("Maximum", most)
    said = f"{word} number of elements in parameter '{field}' should be {bound}"
    return Problem(
        field, f"{count} elements are {'too few' if count < least else 'too many'}", said
    )
