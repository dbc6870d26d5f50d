"""Listeners that ask for passwords and certificates: a batch over each, and who is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from pettwin_pipeline.adapters.kafka import Kafka
from pettwin_pipeline.errors import PettwinError
from pettwin_pipeline_tests.defs.pipeline import DAGSTERS_OWN, calm, failures
from pettwin_pipeline_tests.integration.listeners import PASSWORD, USER, Guarded, guarded_broker
from pettwin_pipeline_tests.integration.outcomes import empty_pipeline, scores, sent_now
from pettwin_pipeline_tests.integration.topics import settings

pytestmark = [pytest.mark.integration, DAGSTERS_OWN]

KNOWN: Final = {"KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD}
WRONG: Final = {"KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": "s3cret"}
SCRAM: Final = {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}


@pytest.fixture(scope="module")
def guarded(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A broker with a listener of each kind."""
    del kafka  # skips where there can be none
    with guarded_broker(tmp_path_factory.mktemp("guarded")) as broker:
        yield broker


def given(guarded: Guarded, listener: str, trust: str = "authority") -> dict[str, str]:
    """The settings of a listener, but for who we are."""
    if listener == "SASL_PLAINTEXT":
        return {"KAFKA_SECURITY_PROTOCOL": listener}
    certificates = guarded.certificates
    own = {
        "KAFKA_SSL_CERTIFICATE_LOCATION": certificates.certificate,
        "KAFKA_SSL_KEY_LOCATION": certificates.key,
    }
    return {
        "KAFKA_SECURITY_PROTOCOL": "SSL" if listener == "MUTUAL" else listener,
        "KAFKA_SSL_CA_LOCATION": getattr(certificates, trust),
    } | (own if listener == "MUTUAL" else {})


@pytest.mark.parametrize(
    ("listener", "who"),
    [
        ("SASL_PLAINTEXT", KNOWN),
        ("SASL_SSL", KNOWN),
        ("SASL_SSL", KNOWN | SCRAM),
        ("SSL", {}),
        ("MUTUAL", {}),
    ],
    ids=["SASL_PLAINTEXT", "SASL_SSL", "SASL_SSL with SCRAM", "SSL", "SSL with our certificate"],
)
def test_a_batch_goes_its_whole_way(
    guarded: Guarded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listener: str,
    who: dict[str, str],
) -> None:
    more = given(guarded, listener) | who
    pipeline = empty_pipeline(guarded.address(listener), tmp_path / "p", monkeypatch, 4, **more)
    pipeline.send(sent_now(calm("rex", 1)))
    assert failures(pipeline.step()) == {}
    assert pipeline.committed() == {0: 12}
    assert len(scores(pipeline)) == 12


class Refused(NamedTuple):
    """Who is not let in, and what the error says besides."""

    listener: str
    more: dict[str, str]
    told: str
    trust: str = "authority"


PROTOCOL: Final = "is KAFKA_SECURITY_PROTOCOL that of this listener"
REFUSED: Final = {
    "wrong password": Refused("SASL_PLAINTEXT", WRONG, "look at .* KAFKA_SASL_PASSWORD"),
    "wrong password, TLS": Refused("SASL_SSL", WRONG, "look at .* KAFKA_SASL_PASSWORD"),
    "wrong password, SCRAM": Refused("SASL_SSL", WRONG | SCRAM, "look at .* KAFKA_SASL_PASSWORD"),
    "wrong authority, SASL": Refused(
        "SASL_SSL", KNOWN, "look at KAFKA_SSL_CA_LOCATION", "stranger"
    ),
    "wrong authority": Refused("SSL", {}, "look at KAFKA_SSL_CA_LOCATION", "stranger"),
    "no certificate": Refused(
        "MUTUAL",
        {"KAFKA_SSL_CERTIFICATE_LOCATION": "", "KAFKA_SSL_KEY_LOCATION": ""},
        "look at KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION",
    ),
    "no TLS": Refused("SSL", {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, PROTOCOL),
    "no TLS, SASL": Refused(
        "SASL_SSL", KNOWN | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, PROTOCOL
    ),
    "no SASL": Refused("SASL_PLAINTEXT", {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, PROTOCOL),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_who_is_not_let_in_is_told_in_one_line_which_setting_to_look_at(
    guarded: Guarded, refused: Refused
) -> None:
    named = given(guarded, refused.listener, refused.trust) | refused.more
    ours = settings(guarded.address(refused.listener), **named | {"KAFKA_TIMEOUT_S": "2"})
    with Kafka(ours) as client, pytest.raises(PettwinError, match=refused.told) as caught:
        client.partitions("t")
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
