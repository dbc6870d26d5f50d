"""Webhooks are posted: payloads, headers, secrets, retries, slow receivers, forbidden addresses."""

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pettwin_pipeline.emulator.server import LocalDatadog, running_local_datadog
from pettwin_pipeline.emulator.webhook_rules import WebhookRules
from pettwin_pipeline_tests.emulator.asking import ask
from pettwin_pipeline_tests.emulator.monitored import START_S, Receiver, Scene, receiving
from pettwin_pipeline_tests.stack.programs import wait_for

HOT = "avg(last_1m):avg:heat{*} > 30"
HOOKS = "/api/v1/integration/webhooks/configuration/webhooks"
VARIABLES = "/api/v1/integration/webhooks/configuration/custom-variables"
QUICK = WebhookRules(timeout_s=15, pauses_s=(0.01,) * 5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def local() -> Iterator[LocalDatadog]:
    """One that does not pause for long before it tries again."""
    with running_local_datadog(seed=7, webhooks=QUICK) as running:
        yield running


@pytest.fixture
def scene(local: LocalDatadog) -> Scene:
    return Scene(local)


def hook(scene: Scene, url: str, name: str = "x", **more: Any) -> None:
    answer = ask(scene.local, "POST", HOOKS, {"name": name, "url": url, **more})
    assert answer.status == 201, answer.content


def alert(scene: Scene, message: str = "hot @webhook-x", **more: Any) -> int:
    monitor = scene.monitor(HOT, message=message, **more)
    scene.gauge(40)
    scene.advance(60)
    return monitor


def posted(scene: Scene, status: str, count: int = 1) -> list[Any]:
    """The entries of webhooks, once so many have that status."""
    wait_for(lambda: len(scene.outbox(kind="webhook", status=status)) >= count)
    return scene.outbox(kind="webhook", status=status)


def test_a_payload_has_the_documented_variables(scene: Scene, receiver: Receiver) -> None:
    payload = (
        '{"id": "$ALERT_ID", "what": "$ALERT_TRANSITION", "status": "$ALERT_TYPE", "p": '
        '"$ALERT_PRIORITY", "scope": "$ALERT_SCOPE", "metric": "$ALERT_METRIC", "text": '
        '"$TEXT_ONLY_MSG", "at": $DATE, "s": $DATE_POSIX, "team": "$TAGS[team]", "unknown": "$XYZ"}'
    )
    hook(scene, f"{receiver.address}/a?b=c", payload=payload)
    message = 'he said "hot"\n@webhook-x'
    monitor = alert(scene, message, priority=1, tags=["team:vets"])
    assert receiver.json(1) == {
        "id": str(monitor),
        "what": "Triggered",
        "status": "error",
        "p": "P1",
        "scope": "*",
        "metric": "heat",
        "text": 'he said "hot"',
        "at": (START_S + 60) * 1000,
        "s": START_S + 60,
        "team": "vets",
        "unknown": "$XYZ",
    }
    path, headers, _ = receiver.requests[0]
    assert (path, headers["content-type"]) == ("/a?b=c", "application/json")
    (entry,) = posted(scene, "delivered")
    assert (entry["to"], entry["answered"], entry["attempts"]) == (receiver.address, 200, 1)


def test_custom_variables_headers_and_secrets_are_put_in(scene: Scene, receiver: Receiver) -> None:
    for name, value, secret in (("KEY", 'k"1', True), ("ROOM", "x", False)):
        body = {"name": name, "value": value, "is_secret": secret}
        assert ask(scene.local, "POST", VARIABLES, body).status == 201
    headers = '{"X-Key": "$KEY", "X-Id": "$ALERT_TRANSITION"}'
    payload = '{"key": "$KEY", "room": "$ROOM"}'
    address = receiver.address.replace("http://", "http://me:p%40ss@")
    hook(scene, f"{address}/$ROOM", payload=payload, custom_headers=headers)
    alert(scene)
    assert receiver.json(1) == {"key": 'k"1', "room": "x"}
    path, told, _ = receiver.requests[0]
    assert (path, told["x-key"], told["x-id"]) == ("/x", 'k"1', "Triggered")
    assert base64.b64decode(told["authorization"].removeprefix("Basic ")) == b"me:p@ss"
    (entry,) = posted(scene, "delivered")
    assert entry["to"] == receiver.address
    assert 'k"1' not in str(scene.local.state.outbox.get(entry["number"]))


def test_a_payload_may_be_a_form(scene: Scene, receiver: Receiver) -> None:
    payload = '{"Body": "$EVENT_TITLE", "n": 3, "o": {"a": 1}}'
    hook(scene, receiver.address, payload=payload, encode_as="form")
    alert(scene)
    _, headers, body = receiver.wait_for(1)[0]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(body.decode()) == {
        "Body": ["[Triggered] Too hot"], "n": ["3"], "o": ['{"a": 1}'],
    }  # fmt: skip


def test_a_form_of_what_is_no_object_is_failed_with_its_reason(scene: Scene) -> None:
    hook(scene, "http://127.0.0.1:9/", payload="[1]", encode_as="form")
    alert(scene)
    (entry,) = posted(scene, "failed")
    assert entry["error"] == "a payload that is encoded as a form must be a JSON object"


def test_a_receiver_that_fails_is_tried_again_until_it_is_well(
    scene: Scene, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 502]
    hook(scene, receiver.address)
    alert(scene)
    assert len(receiver.wait_for(4)) == 4
    (entry,) = posted(scene, "delivered")
    assert (entry["attempts"], entry["answered"], entry["error"]) == (4, 200, None)


def test_after_five_retries_it_is_given_up(scene: Scene, receiver: Receiver) -> None:
    receiver.answers = [500] * 10
    hook(scene, receiver.address)
    alert(scene)
    (entry,) = posted(scene, "failed")
    assert (entry["attempts"], len(receiver.requests)) == (6, 6)
    assert entry["error"] == "answered 500 Internal Server Error"


@pytest.mark.parametrize("status", [301, 400, 404])
def test_what_is_answered_below_500_is_final_and_no_redirect_is_followed(
    scene: Scene, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    hook(scene, receiver.address)
    alert(scene)
    (entry,) = posted(scene, "failed")
    assert (entry["answered"], len(receiver.requests)) == (status, 1)


def test_a_receiver_that_is_down_is_tried_again_and_said_to_be(scene: Scene) -> None:
    with receiving() as gone:
        pass
    hook(scene, gone.address)
    alert(scene)
    (entry,) = posted(scene, "failed")
    assert (entry["attempts"], entry["answered"]) == (6, None)
    assert "ConnectionRefusedError" in entry["error"]


def test_a_slow_receiver_holds_up_neither_evaluation_nor_others(
    scene: Scene, receiver: Receiver
) -> None:
    released = threading.Event()
    with receiving() as slow:
        slow.slow = released
        hook(scene, slow.address, name="slow")
        hook(scene, receiver.address, name="quick")
        alert(scene, "@webhook-slow @webhook-quick")
        for value in (10, 40):
            scene.gauge(value)
            scene.advance(60)
        assert len(receiver.wait_for(3)) == 3  # three transitions, while the first is unanswered
        assert len(slow.requests) == 1
        released.set()
        assert len(slow.wait_for(3)) == 3
        posted(scene, "delivered", 6)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/x", "example.org is not on the list of addresses"),
        ("http://10.0.0.1:8000/", "10.0.0.1 is not on the list"),
        ("http://127.0.0.1.example.org/", "127.0.0.1.example.org is not on the list"),
        ("http://localhost@example.org/", "example.org is not on the list"),
        ("http://169.254.169.254/latest", "169.254.169.254 is not on the list"),
    ],
)
def test_other_addresses_than_those_allowed_are_refused_visibly(
    scene: Scene, url: str, why: str
) -> None:
    hook(scene, url)
    alert(scene)
    (entry,) = posted(scene, "refused")
    assert entry["error"].startswith(why)
    assert entry["attempts"] == 0


def test_a_variable_cannot_lead_elsewhere(scene: Scene, receiver: Receiver) -> None:
    body = {"name": "WHERE", "value": "@example.org/", "is_secret": False}
    assert ask(scene.local, "POST", VARIABLES, body).status == 201
    hook(scene, f"{receiver.address}$WHERE")
    alert(scene)
    (entry,) = posted(scene, "refused")
    assert "example.org" in entry["error"]


def test_an_address_may_be_allowed_by_name_or_with_one_port() -> None:
    rules = WebhookRules(hosts=frozenset({"alerts.example.org", "10.0.0.7:9000"}))
    assert not isinstance(rules.target("https://alerts.example.org/x"), str)
    assert not isinstance(rules.target("http://10.0.0.7:9000/x"), str)
    assert isinstance(rules.target("http://10.0.0.7:9001/x"), str)
    assert isinstance(rules.target("http://127.0.0.1/x"), str)


@pytest.mark.parametrize("headers", ['{"X": "a\\r\\nY: b"}', '{"X\\n": "a"}'])
def test_headers_cannot_be_split(scene: Scene, receiver: Receiver, headers: str) -> None:
    hook(scene, receiver.address, custom_headers=headers)
    alert(scene)
    (entry,) = posted(scene, "failed")
    assert entry["error"] == "a custom header has a line break in it"
    assert receiver.requests == []


def test_a_webhook_that_is_not_there_is_said_so(scene: Scene) -> None:
    alert(scene, "@webhook-nobody")
    (entry,) = posted(scene, "failed")
    assert entry["error"] == "there is no webhook nobody"


def test_what_waits_when_it_ends_is_posted_after_a_restart(tmp_path: Path) -> None:
    patient = WebhookRules(pauses_s=(600.0,))
    with receiving() as receiver:
        receiver.answers = [500]
        file = tmp_path / "datadog.sqlite"
        with running_local_datadog(path=file, seed=7, webhooks=patient) as first:
            scene = Scene(first)
            hook(scene, receiver.address)
            alert(scene)
            receiver.wait_for(1)
        with running_local_datadog(path=file, seed=8, webhooks=QUICK) as second:
            assert len(receiver.wait_for(2)) == 2
            wait_for(lambda: second.state.outbox.counts() == {"delivered": 1})


def test_a_receiver_that_never_answers_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    never = threading.Event()
    with receiving() as receiver:
        receiver.slow = never
        file = tmp_path / "datadog.sqlite"
        with running_local_datadog(path=file, seed=7) as first:
            scene = Scene(first)
            hook(scene, receiver.address)
            alert(scene)
            receiver.wait_for(1)
        assert not never.is_set()
        never.set()
        with running_local_datadog(path=file, seed=8) as second:
            wait_for(lambda: second.state.outbox.counts() == {"delivered": 1})
