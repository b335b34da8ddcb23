"""Tests of `tickerd schema`."""

import json
from pathlib import Path

from click.testing import CliRunner

from tickerd.cli.schema import schema

ROOT = Path(__file__).parents[2]


def test_it_prints_the_committed_schema():
    done = CliRunner().invoke(schema, [])
    assert done.exit_code == 0
    assert json.loads(done.output) == json.loads((ROOT / "config/tickerd.schema.json").read_text())
