"""Codecs for commands that read the journal."""

import pytest

from tickerd.cli.codecs import InstalledCodecs
from tickerd.plugin.plain import PLAIN
from tickerd.wire.kite import KITE


class Registry:
    """A registry of one plugin, which counts how often it is imported."""

    def __init__(self):
        self.imported = []

    def names(self):
        return ["extra", "broken"]

    def describe(self, name):
        self.imported.append(name)

    def codecs(self):
        return {"extra": PLAIN, "kite": PLAIN} if self.imported else {}


def test_our_own_are_there_without_importing_a_plugin():
    registry = Registry()
    codecs = InstalledCodecs(registry)
    assert (codecs["kite"], codecs.get("plain")) == (KITE, PLAIN)
    assert registry.imported == []


def test_plugins_are_imported_once_for_one_that_is_not_ours():
    registry = Registry()
    codecs = InstalledCodecs(registry)
    assert codecs["extra"] is PLAIN
    assert codecs["kite"] is KITE
    with pytest.raises(KeyError):
        codecs["other"]
    assert registry.imported == ["extra", "broken"]
    assert sorted(codecs) == ["extra", "kite", "plain"]
    assert len(codecs) == 3


def test_what_is_installed_here_is_known():
    assert {"kite", "plain"} <= set(InstalledCodecs())
