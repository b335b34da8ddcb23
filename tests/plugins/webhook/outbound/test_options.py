"""Exceptions as the YAML writes them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from tickerd_plugins.webhook.outbound import AllowPrivate, Port


def rule(value):
    return AllowPrivate.model_validate(value)


def test_a_network_alone_is_a_short_form():
    assert rule("192.168.1.0/24") == rule({"network": "192.168.1.0/24"})
    assert rule("192.168.1.0/24").model_dump(mode="json") == {
        "network": "192.168.1.0/24", "host": None, "port": None, "http": False,
    }  # fmt: skip


def test_a_host_is_kept_in_its_one_spelling():
    assert rule({"network": "10.0.0.0/8", "host": "NAS."}).host == "nas"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("10.0.0.1/8", "no bits behind the prefix"),
        ("lan", "expected a network"),
        ("0.0.0.0/0", "private network"),
        ("169.254.0.0/16", "metadata services never"),
        ({"network": "10.0.0.0/8", "host": "a b"}, "host name"),
        ({"network": "10.0.0.0/8", "port": 9443}, "name its host"),
        ({"network": "10.0.0.0/8", "http": True}, "name its host and port"),
        ({"network": "10.0.0.0/8", "host": "nas", "http": True}, "name its host and port"),
        ({"network": "10.0.0.0/8", "host": "nas", "port": 6379}, "another service"),
        ({"network": "10.0.0.0/8", "host": "nas", "port": 0}, "between 1 and"),
        ({"host": "nas"}, "required"),
        ({"network": "10.0.0.0/8", "hosts": ["nas"]}, "not permitted"),
    ],
)
def test_what_is_too_wide_or_wrong_is_said(value, why):
    with pytest.raises(ValidationError, match=why):
        rule(value)


def test_a_port_option_refuses_ports_of_other_services():
    assert TypeAdapter(Port).validate_python(9443) == 9443
    with pytest.raises(ValidationError, match="another service"):
        TypeAdapter(Port).validate_python(25)


def test_a_rule_with_a_host_names_that_server_only():
    server = rule({"network": "10.0.0.0/8", "host": "nas", "port": 8080, "http": True})
    assert server.names("nas", 8080, usual=False, http=True)
    assert server.names("nas", 8080, usual=False, http=False)
    assert not server.names("nas", 8081, usual=True, http=False)
    assert not server.names("nas2", 8080, usual=True, http=False)
    name = rule({"network": "10.0.0.0/8", "host": "nas"})
    assert name.names("nas", 443, usual=True, http=False)
    assert not name.names("nas", 9999, usual=False, http=False)
    assert not name.names("nas", 443, usual=True, http=True)


def test_a_network_alone_covers_every_host_and_names_none():
    lan = rule("10.0.0.0/8")
    assert lan.covers("any.example", 443)
    assert not lan.names("any.example", 443, usual=True, http=False)
    assert not rule({"network": "10.0.0.0/8", "host": "a.example"}).covers("b.example", 443)
