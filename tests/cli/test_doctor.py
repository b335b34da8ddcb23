"""`tickerd doctor`."""

import json

import pytest
from click.testing import CliRunner

from tickerd.cli.doctor import doctor

YAML = "sources: {{demo: {{use: simulator}}}}\nstate: {{dir: '{0}'}}\njournal: {{min_free: 1MiB}}\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tickerd.yaml"
    path.write_text(YAML.format(tmp_path / "state"))
    return path


def run(file, *words):
    return CliRunner().invoke(doctor, ["-c", str(file), "--offline", *words])


def test_a_sound_machine_gives_zero_and_every_check_a_line(file):
    result = run(file)
    assert result.exit_code == 0, result.output
    named = {line.split()[1] for line in result.output.splitlines()[:-1] if not line.startswith(" ")}
    assert named == {
        "config", "secrets", "state", "disk", "descriptors", "clock", "network", "systemd", "journal",
    }  # fmt: skip
    assert result.output.splitlines()[-1].startswith("0 problems, ")


def test_a_problem_gives_one_and_says_what_to_do(file, tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    result = run(file)
    assert result.exit_code == 1
    assert f"→ chmod 0750 {tmp_path / 'state'}" in result.output


def test_json_has_the_same(file, tmp_path):
    result = run(file, "--json")
    told = json.loads(result.stdout)
    assert told["ok"] is True
    assert told["findings"][-1]["check"] == "journal"
    assert {"check", "level", "text", "do"} == set(told["findings"][0])
    (tmp_path / "state").mkdir(mode=0o755)
    assert json.loads(run(file, "--json").stdout)["ok"] is False


def test_without_a_configuration_nothing_else_can_be_looked_at(tmp_path):
    result = run(tmp_path / "nothing.yaml")
    assert result.exit_code == 1
    assert "no such file" in result.output
    assert "mend it first" in result.output


def test_nothing_is_changed(file, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    run(file)
    assert sorted(tmp_path.rglob("*")) == before
