"""Ports that no endpoint may have."""

import pytest

from tickerd_plugins.webhook.outbound.ports import STANDARD, never


@pytest.mark.parametrize("port", [0, -1, 65536, 99999])
def test_what_is_no_port_is_refused(port):
    assert "between" in never(port)


@pytest.mark.parametrize("port", [22, 25, 53, 2375, 3306, 5432, 6379, 11211])
def test_ports_of_other_services_are_refused(port):
    assert "another service" in never(port)


@pytest.mark.parametrize("port", [*STANDARD, 80, 1, 8080, 9443, 65535])
def test_other_ports_may_be_configured(port):
    assert never(port) is None or port == 1
