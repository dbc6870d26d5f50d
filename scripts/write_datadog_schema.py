"""Write the table of request bodies that the local Datadog checks against.

.venv/bin/python scripts/write_datadog_schema.py > pettwin_pipeline/emulator/schema/bodies.json

Read from the models of the official client (datadog-api-client, Apache-2.0), which are generated
from Datadog's OpenAPI files: which fields must be there, of which types, with which values. The
table is kept in the package: at run time the client is not imported, which takes seconds.
"""

import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.model_utils import (
    ModelComposed,
    ModelSimple,
    none_type,
)

APIS = {
    "v1": (
        "dashboards", "dashboard_lists", "downtimes", "events", "metrics", "monitors",
        "service_checks", "service_level_objectives", "service_level_objective_corrections",
        "webhooks_integration",
    ),
    "v2": (
        "dashboard_lists", "downtimes", "events", "logs", "metrics", "monitors", "powerpack",
        "service_level_objectives",
    ),
}  # fmt: skip
NAMES = {
    str: "str", int: "int", float: "float", bool: "bool", none_type: "null", datetime: "str",
    date: "str", UUID: "str", dict: "object", list: "list", object: "any",
}  # fmt: skip


def endpoints() -> Iterator[tuple[str, Any]]:
    """Each method and path that takes a body, with the body's model."""
    client = ApiClient(Configuration())
    for version, names in APIS.items():
        for name in names:
            module = importlib.import_module(f"datadog_api_client.{version}.api.{name}_api")
            (api_class,) = (
                one
                for key, one in vars(module).items()
                if key.endswith("Api") and inspect.isclass(one)
            )
            for endpoint in vars(api_class(client)).values():
                settings = getattr(endpoint, "settings", None)
                body = getattr(endpoint, "params_map", {}).get("body")
                if settings and body:
                    path = f"{settings['http_method']} {settings['endpoint_path']}"
                    yield path, body["openapi_types"]


class Table:
    """Models by name, each written once."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}

    def types(self, told: Any) -> list[Any]:
        """What a field may be: names of types, of models (`#name`), lists and maps of these."""
        return [self._type(one) for one in told]

    def _type(self, told: Any) -> Any:
        if isinstance(told, list):
            return {"list": self.types(told)}
        if isinstance(told, dict):
            (values,) = told.values()
            return {"map": self.types(values if isinstance(values, tuple) else (values,))}
        if told in NAMES:
            return NAMES[told]
        return self._model(told)

    def _model(self, model: Any) -> str:
        name = f"{model.__module__.split('.')[1]}.{model.__name__}"
        if name not in self.models:
            self.models[name] = {}
            self.models[name] = self._written(model)
        return f"#{name}"

    def _written(self, model: Any) -> Any:
        if issubclass(model, ModelSimple):
            allowed = getattr(model, "allowed_values", None)
            if allowed:
                return {"enum": sorted(allowed, key=str)}
            return {"of": self.types(model.openapi_types["value"])}
        if issubclass(model, ModelComposed):
            one_of = model._composed_schemas.get("oneOf", [])  # noqa: SLF001 - no other way
            return {"one_of": self.types(one_of)}
        return self._object(model)

    def _object(self, model: Any) -> dict[str, Any]:
        named = model.attribute_map
        fields = {named[key]: self.types(told) for key, told in dict(model.openapi_types).items()}
        arguments = list(inspect.signature(model.__init__).parameters.values())[1:]
        required = [
            named[one.name]
            for one in arguments
            if one.default is inspect.Parameter.empty and one.name in named
        ]
        limits = {
            named[key]: {rule: bound for rule, bound in told.items() if rule != "regex"}
            for key, told in model.validations.items()
        }
        written: dict[str, Any] = {"fields": fields}
        if required:
            written["required"] = required
        if any(limits.values()):
            written["limits"] = {key: told for key, told in limits.items() if told}
        if model._nullable:  # noqa: SLF001 - the client has no other way to tell
            written["nullable"] = True
        return written


def write_table() -> str:
    """The table as JSON."""
    table = Table()
    bodies = {path: table.types(types) for path, types in endpoints()}
    content = {"bodies": bodies, "models": dict(sorted(table.models.items()))}
    return json.dumps(content, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"') + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_table())
