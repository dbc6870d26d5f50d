"""The calls of the official client that belong to what this project speaks, by part."""

import importlib
import inspect
from functools import cache
from typing import Any

from datadog_api_client import ApiClient, Configuration

PARTS = {
    "Dashboards": (
        "v1.dashboards",
        "v1.dashboard_lists",
        "v2.dashboard_lists",
        "v2.powerpack",
        "v1.snapshots",
    ),
    "Monitors": ("v1.monitors", "v2.monitors"),
    "Downtimes": ("v2.downtimes", "v1.downtimes"),
    "Service level objectives": (
        "v1.service_level_objectives",
        "v1.service_level_objective_corrections",
        "v2.service_level_objectives",
    ),
    "Metrics": ("v1.metrics", "v2.metrics"),
    "Events and checks": ("v1.events", "v2.events", "v1.service_checks"),
    "Logs": ("v1.logs", "v2.logs"),
    "Webhooks": ("v1.webhooks_integration",),
    "Keys": ("v1.authentication",),
}
"""Title of a part -> modules of the client."""


@cache
def documented_calls() -> dict[str, tuple[str, ...]]:
    """Title of a part -> `METHOD /path`, in the order of their paths."""
    client = ApiClient(Configuration())
    return {title: tuple(_calls(client, names)) for title, names in PARTS.items()}


def _calls(client: Any, names: tuple[str, ...]) -> list[str]:
    found = []
    for name in names:
        version, _, part = name.partition(".")
        module = importlib.import_module(f"datadog_api_client.{version}.api.{part}_api")
        for key, one in vars(module).items():
            if key.endswith("Api") and inspect.isclass(one):
                made: Any = one
                for endpoint in vars(made(client)).values():
                    told = getattr(endpoint, "settings", None)
                    if told:
                        found.append((told["endpoint_path"], told["http_method"]))
    return [f"{method} {path}" for path, method in sorted(set(found))]
