"""Keeping modules out while others are imported."""

import importlib
import subprocess
import sys

import pytest

from tickerd.cli.lean import without


def test_a_hidden_module_cannot_be_imported_until_afterwards():
    sys.modules.pop("this_is_hidden", None)
    with without("this_is_hidden", "sys"):
        with pytest.raises(ImportError):
            importlib.import_module("this_is_hidden")
        assert importlib.import_module("sys") is sys
    assert "this_is_hidden" not in sys.modules


def test_a_daemon_imports_neither_rich_nor_twisted(tmp_path):
    code = (
        "import sys, click.testing\n"
        "from tickerd.cli.run import run\n"
        "result = click.testing.CliRunner().invoke(run, ['-c', 'nowhere.yaml'])\n"
        "assert result.exit_code == 78, result\n"
        "import tickerd.daemon\n"
        "unwanted = {'rich', 'twisted', 'requests', 'quart', 'hypercorn'}\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & unwanted))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
