"""systemd's version and opinion."""

import pytest

from tickerd.cli.checkup.service import service


def systemd(version, complaint=""):
    def run(command):
        return f"systemd {version} (x)\n+PAM" if command[0] == "systemctl" else complaint

    return run


@pytest.fixture
def unit(tmp_path):
    (tmp_path / "tickerd.service").write_text("[Service]\n")
    return [str(tmp_path / "nothing"), str(tmp_path)]


def test_where_there_is_none_it_is_skipped(patient, said):
    assert said(service(patient(), lambda _: "")) == [("skipped", "there is no systemd here")]


def test_a_unit_that_it_understands_is_fine(patient, said, unit):
    assert said(service(patient(), systemd(257), unit)) == []


def test_its_complaint_is_told(patient, said, unit):
    found = said(service(patient(), systemd(252, "Unknown key name 'X'\nmore"), unit))
    assert found == [("warning", f"{unit[1]}/tickerd.service: Unknown key name 'X'")]


@pytest.mark.parametrize("version", [247, "?"])
def test_an_old_one_is_told(patient, said, unit, version):
    assert [level for level, _ in said(service(patient(), systemd(version), unit))] == ["warning"]


def test_the_real_one_is_asked(patient):
    assert list(service(patient()))
