"""The check-up as a whole."""

from pathlib import Path

import pytest

from tickerd.cli.checkup import examination
from tickerd.cli.checkup.examination import compiled, environment, examine
from tickerd.cli.checkup.finding import ok


def test_a_check_that_fails_itself_does_not_end_the_others(patient, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("with a s3cret")
        yield

    monkeypatch.setattr(examination, "CHECKS", (broken, lambda _: iter([ok("last", "fine")])))
    first, last = examine(patient())
    assert (first.level, first.text) == ("problem", "could not be looked at: ZeroDivisionError")
    assert last.text == "fine"


def test_every_mistake_of_the_configuration_is_a_problem(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text("sources: {demo: {use: simulater}}\nsinks: {a: {use: nothing}}\n")
    config, found = compiled(file, {})
    assert config is None
    assert [one.level for one in found] == ["problem", "problem"]
    assert found[0].do == f"tickerd check {file}"


def test_credentials_are_found_where_systemd_would_have_them_from(tmp_path):
    file = tmp_path / "t.yaml"
    assert environment(file, {"A": "b"}) == {"A": "b"}
    (tmp_path / "credentials").mkdir()
    assert environment(file, {"A": "b"}) == {"A": "b", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert environment(file, {"CREDENTIALS_DIRECTORY": "x"}) == {"CREDENTIALS_DIRECTORY": "x"}


@pytest.mark.parametrize(
    "name", ["secrets", "state", "room", "clock", "network", "ports", "service", "journal"]
)
def test_every_check_is_part_of_it(name):
    assert any(check.__module__.endswith(f".{name}") for check in examination.CHECKS)
    assert (Path(examination.__file__).parent / f"{name}.py").exists()
