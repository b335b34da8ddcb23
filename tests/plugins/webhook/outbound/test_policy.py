"""What may be posted to, and how narrow an exception is."""

from ipaddress import ip_address

import pytest

from tickerd_plugins.webhook.outbound import AllowPrivate, BadUrl, Policy, Unreachable


def allow(*rules):
    return Policy(allow=tuple(map(AllowPrivate.model_validate, rules)))


def refused(policy, url, *addresses, own):
    """Why, or None."""
    try:
        policy.admit(policy.parse(url), map(ip_address, addresses), own)
    except BadUrl as error:
        return error.detail
    except Unreachable as error:
        return error.detail if error.kind == "refused_by_policy" else error.kind
    return None


@pytest.fixture
def nobody(net):
    return net.Own()


def test_the_default_is_https_a_standard_port_and_a_public_address(net, nobody):
    assert refused(Policy(), "https://a.example/", net.public, net.public6, own=nobody) is None
    assert refused(Policy(), "https://a.example:8443/", net.public, own=nobody) is None
    assert "not https" in refused(Policy(), "http://a.example/", net.public, own=nobody)
    assert "port 9443" in refused(Policy(), "https://a.example:9443/", net.public, own=nobody)
    assert "name for this machine" in refused(Policy(), "https://a.local/", net.public, own=nobody)
    assert "private" in refused(Policy(), "https://a.example/", "10.0.0.1", own=nobody)


def test_a_configured_port_is_allowed_at_public_addresses_only(net, nobody):
    policy = Policy(ports=(9443,))
    assert refused(policy, "https://a.example:9443/", net.public, own=nobody) is None
    assert "private" in refused(policy, "https://a.example:9443/", "10.0.0.1", own=nobody)


def test_a_network_opens_that_network_for_ordinary_urls(nobody):
    policy = allow("192.168.1.0/24")
    assert refused(policy, "https://a.example/", "192.168.1.9", own=nobody) is None
    assert refused(policy, "https://a.example/", "192.168.2.9", own=nobody)
    assert refused(policy, "http://a.example/", "192.168.1.9", own=nobody)
    assert refused(policy, "https://nas/", "192.168.1.9", own=nobody)
    assert refused(policy, "https://a.example:9443/", "192.168.1.9", own=nobody)


def test_a_rule_for_a_host_opens_nothing_for_other_hosts(nobody):
    policy = allow({"network": "192.168.1.0/24", "host": "nas"})
    assert refused(policy, "https://nas/", "192.168.1.9", own=nobody) is None
    assert refused(policy, "https://other.example/", "192.168.1.9", own=nobody)


def test_a_server_that_needs_an_exception_is_only_in_the_network_of_that_exception(net, nobody):
    server = {"network": "192.168.1.0/24", "host": "nas", "port": 8080, "http": True}
    policy = allow(server, "10.0.0.0/8")
    assert refused(policy, "http://nas:8080/", "192.168.1.9", own=nobody) is None
    assert refused(policy, "http://nas:8080/", "10.0.0.1", own=nobody)
    assert refused(policy, "http://nas:8080/", net.public, own=nobody) == (
        f"{net.public} is not in the network of this URL's exception"
    )
    assert refused(policy, "https://nas/", "192.168.1.9", own=nobody)


def test_metadata_services_stay_closed_within_an_open_network(nobody):
    for network, address in (("100.64.0.0/10", "100.100.100.200"), ("fd00::/8", "fd00:ec2::254")):
        assert "metadata" in refused(allow(network), "https://a.example/", address, own=nobody)


def test_an_address_of_this_machine_needs_an_exception(net):
    own = net.Own(addresses=[net.public, "192.168.1.2"])
    assert "of this machine" in refused(Policy(), "https://a.example/", net.public, own=own)
    assert refused(allow(net.public), "https://a.example/", net.public, own=own) is None
    assert refused(allow("192.168.1.0/24"), "https://a.example/", "192.168.1.2", own=own) is None


def test_a_port_that_we_listen_on_stays_closed_whatever_is_open(net):
    own = net.Own(addresses=["192.168.1.2"], ports=[443, 7801])
    loopback = allow({"network": "127.0.0.1/32", "host": "127.0.0.1", "port": 7801, "http": True})
    assert "itself listens" in refused(loopback, "http://127.0.0.1:7801/", "127.0.0.1", own=own)
    assert "itself listens" in refused(allow("192.168.1.0/24"), "https://a.example/", "192.168.1.2", own=own)
    assert "itself listens" in refused(Policy(ports=(7801,)), "https://a.example:7801/", net.public, own=own)
    assert refused(Policy(), "https://a.example/", net.public, own=own) is None


def test_nat64_is_closed_unless_its_network_is_opened_and_then_what_is_behind_it_counts(nobody):
    policy = allow("64:ff9b::/96")
    assert refused(Policy(), "https://a.example/", "64:ff9b::808:808", own=nobody)
    assert refused(policy, "https://a.example/", "64:ff9b::808:808", own=nobody) is None
    assert "private" in refused(policy, "https://a.example/", "64:ff9b::a00:1", own=nobody)
    assert "metadata" in refused(policy, "https://a.example/", "64:ff9b::a9fe:a9fe", own=nobody)
    both = allow("64:ff9b::/96", "10.0.0.0/8")
    assert refused(both, "https://a.example/", "64:ff9b::a00:1", own=nobody) is None


def test_one_closed_address_among_many_closes_all(net, nobody):
    assert refused(Policy(), "https://a.example/", net.public, net.public6, "fe80::1", own=nobody)


def test_policies_compare_by_value():
    assert allow("10.0.0.0/8") == allow("10.0.0.0/8")
    assert hash(allow("10.0.0.0/8")) == hash(allow("10.0.0.0/8"))
