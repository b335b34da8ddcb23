"""The README's tables say what the program says."""

import re
from typing import Any

from tickerd.cli.main import COMMANDS, EXIT_CODES
from tickerd.runtime.registry import Registry


def test_it_opens_with_two_commands_and_a_configuration(readme: Any) -> None:
    first, second, *_ = readme.blocks()
    assert [line.split("#")[0].strip() for line in first.text.splitlines()] == ["make run", "make test"]
    assert (first.language, second.language) == ("sh", "yaml")
    opening = readme.text[: readme.text.index("```")].strip().removeprefix("# tickerd")
    assert len(re.findall(r"\.(?:\s|$)", opening)) == 2, "two sentences before the first command"


def test_the_exit_codes_are_those_of_the_help(readme: Any) -> None:
    told = [(code, text) for code, text in readme.table("Commands", "code")]
    assert told == re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.MULTILINE)


def test_every_command_is_in_the_table(readme: Any) -> None:
    told = [row[0].strip("`").split()[1] for row in readme.table("Commands", "command")]
    ours = [one for one in Registry.installed().plugins() if one.distribution == "tickerd"]
    bundled = [name for one in ours for name in Registry.installed().describe(one.name).commands]
    assert sorted(told) == sorted([*COMMANDS, *bundled])


def test_every_bundled_plugin_is_in_the_table(readme: Any) -> None:
    told = {re.sub(r"\[(\w+)\].*", r"\1", row[0]): row[1] for row in readme.table("Plugins", "`use:`")}
    registry = Registry.installed()
    ours = [one.name for one in registry.plugins() if one.distribution == "tickerd"]
    assert told == {name: " and ".join(registry.describe(name).kinds) for name in ours}


def test_every_test_target_is_in_the_table(readme: Any) -> None:
    told = {row[0].strip("`") for row in readme.table("Tests", "command")}
    assert told == {
        "make test",
        "make test-full",
        "make test-tools",
        "make test-all",
        "make test-system",
        "make bench",
        "make soak",
    }
