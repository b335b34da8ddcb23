"""The one URL parser: what it accepts is what every other parser would connect to."""

import re
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickerd_plugins.webhook.outbound import BadUrl
from tickerd_plugins.webhook.outbound.target import LONGEST, parse

BITS = st.sampled_from(
    [
        *(
            "https",
            "http",
            "HTTPS",
            ":",
            "/",
            "//",
            "://",
            "?",
            "#",
            "@",
            "[",
            "]",
            "%",
            "%2e",
            "\\",
            ".",
            "..",
            ";",
            "&",
        ),
        *(
            "127.0.0.1",
            "1",
            "0x7f",
            "017",
            "::1",
            "::ffff:",
            "2130706433",
            "fe80::1%25eth0",
            "localhost",
            "example.com",
        ),
        *("a", "xn--", "-", "_", "|", "^", ":443", ":0", "443", "user"),
        *("\t", "\n", "\0", " ", "\xe9", "\u3002", "\uff20", "\uff05", "\u2460", "\u202e"),
    ]
)
URLS = st.one_of(
    st.text(max_size=60),
    st.lists(BITS, max_size=14).map("".join),
    st.lists(BITS, max_size=12).map(lambda bits: "https://" + "".join(bits)),
    st.lists(BITS, max_size=8).map(lambda bits: "https://example.com" + "".join(bits)),
)


def _target(url):
    with suppress(BadUrl):
        return parse(url)
    return None


@given(URLS)
@example("https://a:1:2/")
@example("https://[::1]x/")
@example("https://a?@b/")
def test_any_text_is_a_target_or_a_bad_url_and_targets_mean_the_same_to_other_parsers(url):
    target = _target(url)
    if target is None:
        return
    for text in (url, target.url):
        other = urlsplit(text)
        assert other.scheme == target.scheme
        assert (other.port or {"https": 443, "http": 80}[other.scheme]) == target.port
        assert other.username is None
        assert other.password is None
        host = other.hostname.removesuffix(".")
        assert host == target.host or (":" in host and ":" in target.host)
    assert parse(target.url) == target
    assert re.fullmatch(r"[!-~]+", target.resource)
    assert target.resource.startswith("/")
    assert "#" not in target.resource


def test_a_target_has_the_parts_of_its_url():
    target = parse("HTTPS://Example.Com.:8443/a/b%20c?d=e&f")
    assert (target.scheme, target.host, target.port) == ("https", "example.com", 8443)
    assert target.resource == "/a/b%20c?d=e&f"
    assert target.authority == "example.com:8443"
    assert target.origin == "https://example.com:8443"
    assert target.url == "https://example.com:8443/a/b%20c?d=e&f"
    assert target.address is None
    assert not target.http


@pytest.mark.parametrize(
    ("url", "authority", "resource"),
    [
        ("https://example.com", "example.com", "/"),
        ("https://example.com:443/", "example.com", "/"),
        ("https://example.com?a", "example.com", "/?a"),
        ("http://example.com:80/a", "example.com", "/a"),
        ("http://example.com:443/a", "example.com:443", "/a"),
        ("https://[2001:4860::8888]:8443/", "[2001:4860::8888]:8443", "/"),
        ("https://8.8.8.8", "8.8.8.8", "/"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_schemes(url, authority, resource):
    target = parse(url)
    assert (target.authority, target.resource) == (authority, resource)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/" + "a" * LONGEST, "longer than 2048"),
        ("https://example.com/a b", "spaces"),
        ("https://example.com/é", "outside ASCII"),
        ("https://example.com\\a", "backslash"),
        ("https://example.com/#a", "fragment"),
        ("example.com", "does not begin with https"),
        ("ftp://example.com/", "not https"),
        ("https:example.com", "no host"),
        ("https:///a", "no host"),
        ("https://a@example.com", "user or password"),
        ("https://a%2eexample.com", "percent"),
        ("https://a:b:c/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://[1.2.3.4]/", "brackets"),
        ("https://[]/", "brackets"),
        ("https://[1::2::3]/", "not an IPv6 address"),
        ("https://a.com:port/", "cannot be read"),
        ("https://a.com:0/", "port"),
        ("https://a.com:/", "port"),
        ("https://a.com:123456/", "port"),
        ("https://a.com/<a>", "percent-encoded"),
        ("https://a.com/%zz", "percent-encoded"),
        ("https://a_b.com/", "other characters"),
    ],
)
def test_the_detail_says_what_is_wrong(url, why):
    with pytest.raises(BadUrl) as refused:
        parse(url)
    assert why in refused.value.detail
    assert str(refused.value) == BadUrl.public_text


def test_the_detail_does_not_repeat_the_path():
    with pytest.raises(BadUrl) as refused:
        parse("https://10.0.0.1:x/T0KEN")
    assert "T0KEN" not in refused.value.detail
