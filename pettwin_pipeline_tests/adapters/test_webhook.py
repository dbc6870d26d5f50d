"""Posting alerts to somebody's service, against a real server on a real socket."""

import hashlib
import hmac
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pettwin_pipeline.adapters.notifications import Failure
from pettwin_pipeline.adapters.webhook import MOST_WAIT_S, Webhook, _wait_s
from pettwin_pipeline_tests.adapters.http_intake import Answer, Intake
from pettwin_pipeline_tests.adapters.ledgers import NOW_S
from pettwin_pipeline_tests.adapters.notified import PATH, notification, told, webhook


def post(channel: Webhook, alert_id: str = "a1", now_s: float = NOW_S) -> Failure | None:
    """One delivery, and the end of the channel."""
    with closing(channel):
        return channel.deliver(notification(alert_id), now_s)


def failure(answer: Answer, now_s: float = NOW_S) -> Failure:
    """Why a delivery failed that was answered so; the place of the server is `HERE`."""
    with Intake(answer) as intake:
        found = post(webhook(intake.address), now_s=now_s)
        assert len(intake.requests) == 1, "one attempt, one request"
    assert found is not None
    here = intake.address.removeprefix("http://")
    return Failure(found.text.replace(here, "HERE"), found.wait_s)


def test_the_alert_is_posted_with_its_id_and_where_it_comes_from() -> None:
    one = notification(reason='héllo "rex"')
    with Intake() as intake, closing(webhook(intake.address)) as channel:
        assert channel.deliver(one, NOW_S) is None
        (request,) = intake.requests
    assert request.path == PATH
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == "a1"
    assert request.headers["User-Agent"].startswith("pettwin-pipeline/")
    assert json.loads(request.unpacked) == told(one)


def receivers_check() -> Callable[[Mapping[str, str], bytes, str], bool]:
    """What the README gives to those who receive."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (source,) = re.findall(r"^```python\n(def is_ours.*?)^```", readme, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"hashlib": hashlib, "hmac": hmac, "time": time}
    exec(source, names)  # noqa: S102  our own document
    check: Callable[[Mapping[str, str], bytes, str], bool] = names["is_ours"]
    return check


@pytest.mark.parametrize("said", ["s3cret", "s3cret\n", "schlüssel-€"])
def test_a_receiver_can_verify_the_signature(said: str) -> None:
    is_ours, now_s = receivers_check(), time.time()
    with Intake() as intake:
        post(webhook(intake.address, said), now_s=now_s)
        post(webhook(intake.address, said), now_s=now_s - 400)
        fresh, old = intake.requests
    body, secret = fresh.unpacked, said.strip()
    assert is_ours(fresh.headers, body, secret)
    assert not is_ours(fresh.headers, body + b" ", secret)
    assert not is_ours(fresh.headers, body, "other")
    assert not is_ours(old.headers, body, secret), "somebody sends what he has seen once more"


def test_the_signature_is_that_of_another_tool(tmp_path: Path) -> None:
    with Intake() as intake:
        post(webhook(intake.address))
        (request,) = intake.requests
    moment, _, digest = request.headers["X-Pettwin-Signature"].partition(",v1=")
    signed = tmp_path / "signed"
    signed.write_bytes(moment.removeprefix("t=").encode() + b"." + request.unpacked)
    command = ["openssl", "dgst", "-sha256", "-hmac", "s3cret", "-r", str(signed)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split()[0] == digest


def test_without_a_secret_nothing_is_signed() -> None:
    with Intake() as intake:
        post(webhook(intake.address, None))
        (request,) = intake.requests
    assert "X-Pettwin-Signature" not in request.headers


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery_whatever_it_says(status: int) -> None:
    body = b"" if status == 204 else b"error: no" * 10_000
    with Intake(Answer(status, body)) as intake:
        assert post(webhook(intake.address)) is None
        assert len(intake.requests) == 1


def test_several_deliveries_follow_one_another_also_after_a_long_answer() -> None:
    answers = (Answer(200, b"ok"), Answer(200, b"x" * 10**6), Answer(204, b""), Answer(500))
    with Intake(*answers) as intake, closing(webhook(intake.address)) as channel:
        results = [channel.deliver(notification(f"a{n}"), NOW_S) for n in range(5)]
        assert [one is None for one in results] == [True, True, True, False, True]
        keys = [one.headers["Idempotency-Key"] for one in intake.requests]
    assert keys == [f"a{n}" for n in range(5)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_that_says_so_and_is_not_followed(status: int) -> None:
    with Intake() as elsewhere:
        place = {"Location": f"{elsewhere.address}/s3cret"}
        found = failure(Answer(status, b"", place))
        assert elsewhere.requests == []
    assert found.text == (
        f"HERE answered {status}: redirects are not followed, set PETTWIN_WEBHOOK_URL to the new "
        "place"
    )


@pytest.mark.parametrize("status", [400, 401, 404, 410, 425, 429, 500, 503])
def test_a_refusal_is_told_with_its_status_and_the_beginning_of_the_answer(status: int) -> None:
    found = failure(Answer(status, b"no \x1b[31m\r\n  such\tpet " + b"x" * 500))
    begin = f"HERE answered {status}: no [31m such pet "
    assert found.text == begin + "x" * (200 - len("no [31m such pet "))
    assert found.wait_s is None


def test_an_answer_that_is_no_text_is_told_as_far_as_it_is() -> None:
    assert failure(Answer(400, b"caf\xc3\xa9 \xff\x00")).text == "HERE answered 400: café \ufffd"
    assert failure(Answer(400, b"")).text == "HERE answered 400"


DATE = format_datetime(datetime.fromtimestamp(NOW_S + 90, UTC), usegmt=True)
PAST = format_datetime(datetime.fromtimestamp(NOW_S - 90, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("9" * 5000, 3600.0),
        ("0" * 5000 + "7", 7.0),
        (DATE, 90.0),
        (PAST, 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("Fri, 99 Foo 2026", None),
        ("²", None),
    ],
)
def test_retry_after_is_obeyed_up_to_an_hour(said: str, wait_s: float | None) -> None:
    assert failure(Answer(429, b"", {"Retry-After": said})).wait_s == wait_s


@given(
    st.text(st.characters(max_codepoint=255), max_size=60) | st.from_regex(r"[A-Z][a-z, 0-9:+-]*")
)
@example("Fri, 31 Dec 9999 23:59:59 -9999")
def test_nothing_that_a_receiver_says_in_retry_after_is_an_error(said: str) -> None:
    wait_s = _wait_s({"Retry-After": said}, NOW_S)
    assert wait_s is None or 0 <= wait_s <= MOST_WAIT_S


def test_retry_after_of_any_refusal_is_obeyed() -> None:
    assert failure(Answer(503, b"", {"Retry-After": "7"})).wait_s == 7


def test_a_receiver_that_hangs_is_given_up_on() -> None:
    with Intake(Answer(hangs=True)) as intake:
        found = post(webhook(intake.address, timeout_s=0.3))
        assert len(intake.requests) == 1
    assert found == Failure(f"{intake.address.removeprefix('http://')}: no answer within 0.3 s")


def test_a_connection_that_is_cut_off_is_a_failure() -> None:
    found = failure(Answer(cuts=True))
    assert found == Failure("HERE: the connection broke (ProtocolError)")


def test_nobody_listening_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = post(webhook(f"http://127.0.0.1:{port}"))
    assert found is not None
    assert found.text.startswith(f"127.0.0.1:{port}: nobody answers there (")
    assert "refused" in found.text


CHUNKED = b"HTTP/1.1 %d Here\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (b"220 mail.example ESMTP\r\n", "the connection broke"),
        (b"", "the connection broke"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "the connection broke"),
        (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", "the connection broke"),
        (CHUNKED % 200 + b"2\r\nok\r\n0\r\n\r\n", None),
        (CHUNKED % 200 + b"no chunk", None),
        (CHUNKED % 500 + b"2\r\nno\r\n0\r\n\r\n", "answered 500: no"),
        (CHUNKED % 500 + b"no chunk", "answered 500"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 99\r\n\r\npart", "answered 500: part"),
        (b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\n\r\nnot so", "answered 500: not so"),
    ],
)
def test_whatever_a_receiver_says_is_a_delivery_or_a_failure(says: bytes, told: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer, args=(server, says))
        thread.start()
        found = post(webhook(f"http://127.0.0.1:{server.getsockname()[1]}"))
        thread.join()
    assert (found is None) == (told is None)
    assert found is None or told is None or told in found.text


def _answer(server: socket.socket, says: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(says)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Intake() as intake, Intake() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.address)
        assert post(webhook(intake.address)) is None
        assert (len(intake.requests), proxy.requests) == (1, [])


def test_no_failure_shows_the_secret_part_of_the_address() -> None:
    with Intake(Answer(500), Answer(302), Answer(cuts=True), Answer(hangs=True)) as intake:
        found = [post(webhook(intake.address, timeout_s=0.3)) for _ in range(4)]
    assert None not in found
    assert [one for one in found if "s3cret" in repr(one)] == []
    assert "s3cret" not in repr(webhook(intake.address))


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_ipv6_address_is_posted_to() -> None:
    class Server(HTTPServer):
        address_family = socket.AF_INET6

    with served(Server(("::1", 0), Accepts)) as server:
        assert post(webhook(f"http://[::1]:{server.server_port}")) is None
        assert Accepts.hosts == [f"[::1]:{server.server_port}"]


class Accepts(BaseHTTPRequestHandler):
    """Takes everything."""

    hosts: list[str] = []  # noqa: RUF012  one server a test

    def do_POST(self) -> None:
        """Note the host and take it."""
        self.hosts[:] = [self.headers["Host"]]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def served(server: HTTPServer) -> Iterator[HTTPServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost that nobody has signed, with its key."""
    path = tmp_path / "localhost.pem"
    files = ["-keyout", str(path), "-out", str(path)]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", *kind, *files, *names]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[str]:
    """host:port of a server that has this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HTTPServer(("127.0.0.1", 0), Accepts)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with served(server):
        yield f"localhost:{server.server_port}"


def test_a_certificate_that_nobody_vouches_for_is_a_failure(tls_server: str) -> None:
    found = post(webhook(f"https://{tls_server}"))
    assert found is not None
    assert "no connection by TLS" in found.text
    assert "CERTIFICATE_VERIFY_FAILED" in found.text


def test_a_certificate_that_the_machine_trusts_is_good(
    tls_server: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert post(webhook(f"https://{tls_server}")) is None


def test_a_certificate_of_another_name_is_a_failure(
    tls_server: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    found = post(webhook(f"https://{tls_server.replace('localhost', '127.0.0.1')}"))
    assert found is not None
    assert "no connection by TLS" in found.text
