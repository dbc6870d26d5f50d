"""Who may ask: keys as Datadog asks for them; no page of another site, no other name."""

import pytest

from pettwin_pipeline.emulator.exchange import Call
from pettwin_pipeline.emulator.gate import check_keys, check_place
from pettwin_pipeline.emulator.refusals import Refusal
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import KEYS, ask

MONITOR = {"type": "metric alert", "query": "avg(last_5m):avg:a{*} > 1"}


def test_without_a_key_the_recorded_refusal_is_given(local: LocalDatadog) -> None:
    answer = ask(local, "GET", "/api/v1/validate", headers={})
    assert (answer.status, answer.errors) == (403, ["API key required"])


def test_any_key_is_good_on_loopback(local: LocalDatadog) -> None:
    told = {"DD-API-KEY": "x"}
    assert ask(local, "GET", "/api/v1/validate", headers=told).json == {"valid": True}


def test_intake_needs_the_api_key_alone_and_the_rest_both(local: LocalDatadog) -> None:
    only = {"DD-API-KEY": "x"}
    assert ask(local, "POST", "/api/v2/series", {"series": []}, only).status == 202
    assert ask(local, "GET", "/api/v1/monitor", headers=only).status == 403
    bearer = {"Authorization": "Bearer x"}
    assert ask(local, "GET", "/api/v1/monitor", headers=bearer).status == 200


def test_where_keys_are_set_only_these_are_good() -> None:
    call = Call("GET", "/api/v1/validate", headers={"dd-api-key": "wrong"})
    with pytest.raises(Refusal) as refused:
        check_keys(call, "api", {"right"})
    assert refused.value.status == 403
    check_keys(Call("GET", "/", headers={"dd-api-key": "right"}), "api", {"right"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "[::"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_can_neither_write_nor_see_the_local_plane(
    local: LocalDatadog, headers: dict[str, str]
) -> None:
    assert ask(local, "POST", "/api/v1/monitor", MONITOR, {**KEYS, **headers}).status == 403
    assert ask(local, "GET", "/_local/health", headers=headers).status == 403
    assert ask(local, "POST", "/_local/reset", headers=headers).status == 403
    assert local.state.storage.counts() == {}


def test_its_own_pages_may_write(local: LocalDatadog) -> None:
    headers = {**KEYS, "Origin": local.address, "Sec-Fetch-Site": "same-origin"}
    assert ask(local, "POST", "/api/v1/monitor", MONITOR, headers).status == 200


def test_localhost_is_a_name_of_it_on_any_port() -> None:
    call = Call("POST", "/_local/reset")
    for host in ("localhost:8282", "LOCALHOST", "[::1]:1", "127.0.0.1:65535"):
        check_place(call, host)
    with pytest.raises(Refusal):
        check_place(call, "localhost.evil.example")
