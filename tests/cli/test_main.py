"""`tickerd` itself."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tickerd import __version__
from tickerd.cli.main import COMMANDS, cli


def test_the_version_is_told_without_importing_a_plugin():
    code = (
        "import sys\nfrom tickerd.cli import main\n"
        "try:\n    main(args=['--version'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.startswith('tickerd_plugins') or m == 'trio'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"tickerd, version {__version__}\n[]\n"


def test_help_lists_every_command_ours_and_the_plugins():
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    for name in (*COMMANDS, "simulate"):
        assert f"\n  {name} " in result.output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"tickerd {name}" in result.output
    assert "xample" in result.output


def test_an_unknown_command_is_a_wrong_command_line():
    assert CliRunner().invoke(cli, ["nosuch"]).exit_code == 2
