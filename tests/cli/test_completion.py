"""Shell completion scripts."""

import pytest
from click.testing import CliRunner

from tickerd.cli.main import cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell_is_printed(shell):
    result = CliRunner().invoke(cli, ["completion", shell])
    assert result.exit_code == 0
    assert "_TICKERD_COMPLETE" in result.output


def test_another_shell_is_a_wrong_command_line():
    assert CliRunner().invoke(cli, ["completion", "csh"]).exit_code == 2
