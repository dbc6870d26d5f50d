"""Which addresses may be posted to, however they are written."""

import pytest

from pettwin_pipeline.webhook_address import parse_hosts, parse_webhook_address

HOSTS = parse_hosts("127.0.0.1, localhost,::1,Hooks.Example.COM.,[fe80::1]")


@pytest.mark.parametrize(
    ("text", "scheme", "where", "target"),
    [
        ("https://hooks.example.com/a/b?c=d", "https", "hooks.example.com:443", "/a/b?c=d"),
        ("https://hooks.example.com", "https", "hooks.example.com:443", "/"),
        ("HTTPS://HOOKS.Example.com:8443/A", "https", "hooks.example.com:8443", "/A"),
        ("https://hooks.example.com./a", "https", "hooks.example.com:443", "/a"),
        ("https://[FE80:0:0:0:0:0:0:1]/", "https", "[fe80::1]:443", "/"),
        ("http://localhost:8000/#part", "http", "localhost:8000", "/"),
        ("http://127.0.0.1/", "http", "127.0.0.1:80", "/"),
        ("http://[0:0::1]:9/x", "http", "[::1]:9", "/x"),
        ("http://localhost//evil.example/x", "http", "localhost:80", "//evil.example/x"),
    ],
)
def test_an_allowed_host_is_known_in_each_of_its_forms(
    text: str, scheme: str, where: str, target: str
) -> None:
    found = parse_webhook_address(text, HOSTS)
    assert (found.scheme, found.where, found.target) == (scheme, where, target)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://evil.example/", "evil.example"),
        ("https://hooks.example.com.evil.example/", "hooks.example.com.evil.example"),
        ("https://evil-hooks.example.com/", "evil-hooks.example.com"),
        ("https://example.com/", "example.com"),
        ("http://evil.example#@127.0.0.1/", "evil.example"),
        ("http://evil.example?@127.0.0.1/", "evil.example"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://127.1/", "127.1"),
        ("http://2130706433/", "2130706433"),
        ("http://0x7f000001/", "0x7f000001"),
        ("http://127.0.0.2/", "127.0.0.2"),
        ("http://[::ffff:127.0.0.1]/", "::ffff:7f00:1"),
        ("http://[::1%25lo]/", "::1%25lo"),
    ],
)
def test_a_host_that_is_not_on_the_list_is_refused_by_name(text: str, host: str) -> None:
    with pytest.raises(ValueError, match="is not on the list") as caught:
        parse_webhook_address(text, HOSTS)
    assert repr(host) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://me:s3cret@127.0.0.1/", "no user and no password"),
        ("http://127.0.0.1@evil.example/", "no user and no password"),
        ("http://@127.0.0.1/", "no user and no password"),
        ("http://127.0.0.1\\@evil.example/", "no spaces, backslashes"),
        ("http://evil.example\\.localhost/", "no spaces, backslashes"),
        ("http://127.0.0.1 /", "no spaces, backslashes"),
        ("http://local\thost/", "no spaces, backslashes"),
        ("http://127.0.0.1/a\r\nHost: evil", "no spaces, backslashes"),
        ("http://\u2460\u2461\u2466.0.0.1/", "letters beyond ASCII"),
        ("http://localhost:0/", "port 0"),
        ("http://localhost:65536/", "not an address"),
        ("http://localhost:x/", "not an address"),
        ("http://[::1/", "not an address"),
        ("http://a..b/", "not a host"),
        ("http://-a/", "not a host"),
        ("http://%31/", "not a host"),
        ("file:///etc/passwd", "allowed: https"),
        ("ftp://localhost/", "allowed: https"),
        ("//localhost/x", "allowed: https"),
        ("localhost/x", "allowed: https"),
        ("http:///x", "allowed: https"),
        ("http://:80/", "allowed: https"),
        ("http://hooks.example.com/", "for this machine only: 'hooks.example.com' needs https"),
        ("http://[fe80::1]/", "for this machine only"),
    ],
)
def test_an_address_that_is_no_plain_one_is_refused_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_webhook_address(text, HOSTS)
    assert "s3cret" not in str(caught.value)


def test_a_list_of_hosts_may_be_empty() -> None:
    assert parse_hosts(" , ") == frozenset()


@pytest.mark.parametrize("wrong", ["*", "a:1", "http://a", "a..b", "a/b", "*.example.com", "ä"])
def test_a_list_with_something_that_is_no_host_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a host: allowed is a name or an IP address"):
        parse_hosts(f"localhost,{wrong}")
