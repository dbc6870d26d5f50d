"""datadog-api-client against a local Datadog: whatever it cannot parse fails the test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datadog_api_client import ApiClient, Configuration
from datadog_api_client.model_utils import ModelComposed, ModelNormal, ModelSimple, UnparsedObject

from pettwin_pipeline.emulator.server import LocalDatadog


@contextmanager
def typed(local: LocalDatadog) -> Iterator[Any]:
    """The client, with any keys."""
    configuration = Configuration(
        host=local.address, api_key={"apiKeyAuth": "any", "appKeyAuth": "any"}
    )
    # Two calls go to hosts of their own at Datadog; here all is one.
    for call in ("v2.create_event", "create_event", "v2.submit_log", "submit_log"):
        configuration.server_operation_index[call] = 1
        where = {"protocol": "http", "name": local.address.removeprefix("http://")}
        configuration.server_operation_variables[call] = where
    unstable = configuration.unstable_operations.values
    unstable.update(dict.fromkeys(unstable, True))
    with ApiClient(configuration) as client:
        yield client


def whole(answer: Any) -> Any:
    """The answer, in which every element fits the client's models."""
    found = list(_unparsed(answer, "answer"))
    assert found == [], found
    return answer


def _unparsed(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, UnparsedObject) or (
        isinstance(value, ModelSimple) and getattr(value, "_unparsed", False)
    ):
        yield f"{path}: {value}"
    elif isinstance(value, ModelComposed):
        yield from _unparsed(value.get_oneof_instance(), path)
    else:
        for name, inner in _parts(value):
            yield from _unparsed(inner, f"{path}.{name}")


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, ModelNormal):
        value = value._data_store
    if isinstance(value, dict):
        return list(value.items())
    return [(str(place), one) for place, one in enumerate(value)] if isinstance(value, list) else []
