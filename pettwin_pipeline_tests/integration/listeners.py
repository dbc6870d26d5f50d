"""A Kafka with listeners that ask for passwords and certificates, made by the test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from pettwin_pipeline.stack.ports import LOOPBACK, free_ports
from pettwin_pipeline_tests.integration.brokers import OwnBroker, own_broker

USER: Final = "collar"
PASSWORD: Final = "only-for-this-test"  # noqa: S105
NAMES: Final = ("SASL_PLAINTEXT", "SASL_SSL", "SSL", "MUTUAL")
"""Listeners; MUTUAL is SSL and asks for a certificate of the client."""
PLAIN: Final = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required "
    f'username="{USER}" password="{PASSWORD}" user_{USER}="{PASSWORD}";'
)
SCRAM: Final = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
ANSWER_S: Final = 20.0


@dataclass(frozen=True)
class Certificates:
    """Files in PEM: an authority, a certificate of it with its key, and a stranger's authority."""

    folder: Path

    @property
    def authority(self) -> str:
        """Who signed what broker and client show."""
        return str(self.folder / "authority.pem")

    @property
    def stranger(self) -> str:
        """An authority that signed nothing."""
        return str(self.folder / "stranger.pem")

    @property
    def certificate(self) -> str:
        """Of this machine: broker and client show the same one."""
        return str(self.folder / "machine.pem")

    @property
    def key(self) -> str:
        """Its private key."""
        return str(self.folder / "machine.key")

    @property
    def both(self) -> str:
        """Key and certificate in one file, as the broker wants them."""
        return str(self.folder / "both.pem")


def make_certificates(folder: Path) -> Certificates:
    """Make an authority, another one, and a certificate of the first for 127.0.0.1."""
    new_key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    for name in ("authority", "stranger"):
        own = ("-x509", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        _openssl(folder, "req", *own, *new_key)
    wanted = ("-subj", "/CN=machine", "-addext", f"subjectAltName=IP:{LOOPBACK}")
    signed = ("-CA", "authority.pem", "-CAkey", "authority.key", "-x509")
    _openssl(
        folder, "req", *signed, *wanted, *new_key, "-keyout", "machine.key", "-out", "machine.pem"
    )
    made = Certificates(folder)
    parts = (Path(made.key), Path(made.certificate), Path(made.authority))
    Path(made.both).write_text("".join(part.read_text() for part in parts))
    return made


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Guarded:
    """A broker, its listeners and what one needs to get in."""

    broker: OwnBroker
    ports: dict[str, int]
    certificates: Certificates

    def address(self, listener: str) -> str:
        """`host:port` of a listener."""
        return f"{LOOPBACK}:{self.ports[listener]}"


@contextmanager
def guarded_broker(folder: Path) -> Iterator[Guarded]:
    """A broker with every kind of listener while the block runs."""
    certificates = make_certificates(folder)
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    with own_broker(folder / "kafka", _config(certificates), ports) as broker:
        _let_in(broker.address)
        yield Guarded(broker, ports, certificates)


def _config(certificates: Certificates) -> dict[str, str]:
    """Beside the listener without any protection, which is the broker's own."""
    config = {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,"
        "MUTUAL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates.both,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.authority,
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for name in ("sasl_plaintext", "sasl_ssl"):
        config[f"listener.name.{name}.plain.sasl.jaas.config"] = PLAIN
        config[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = SCRAM
    return config


def _let_in(address: str) -> None:
    """Make the user known to SCRAM."""
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    known = UserScramCredentialUpsertion(USER, credential, PASSWORD.encode())
    admin = AdminClient({"bootstrap.servers": address})
    admin.alter_user_scram_credentials([known])[USER].result(ANSWER_S)
