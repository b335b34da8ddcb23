"""The plugin as a whole keeps the rules that tickerd checks when it loads it."""

from tickerd.testing import check_plugin

import tickerd_example


def test_the_plugin_declares_what_tickerd_expects() -> None:
    check_plugin(tickerd_example)
