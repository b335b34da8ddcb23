"""`make install` and `make uninstall`."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheels(machine, tmp_path_factory):
    """Everything that pip needs inside, where there is no network."""
    out = tmp_path_factory.mktemp("wheels")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--wheel-dir",
        out,
        ROOT,
        "hatchling",
        "editables",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def make(new_lab, wheels):
    """Runs make in the source tree inside a lab."""
    lab = new_lab(f"{wheels}:/mnt", f"{ROOT}:/srv/source")
    pip = ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=/mnt", "PIP_EXTRA_INDEX_URL=", f"PIP_PYTHON={sys.executable}"]

    def run(target, *variables):
        return lab.try_(
            "env", *pip, "make", "-C", "/srv/source", target, "PYTHON=/usr/bin/python3", *variables
        )

    run.lab = lab
    return run


def test_it_installs_into_a_prefix_and_uninstalls_without_the_data(make, service_class):
    lab = make.lab
    done = make("install", "PREFIX=/opt/feeds/tickerd")
    assert done.returncode == 0, done.stderr
    units = "/usr/local/lib/systemd/system"
    verified = lab.try_("systemd-analyze", "verify", "--man=no", f"{units}/tickerd.service")
    assert (verified.stdout + verified.stderr).strip() == ""
    assert lab("stat", "-c", "%a %U:%G", "/etc/tickerd/tickerd.yaml").strip() == "640 root:tickerd"
    assert lab("stat", "-c", "%a %U:%G", "/etc/tickerd/credentials").strip() == "700 root:root"
    for directory in ("/var/lib/tickerd", "/var/log/tickerd"):
        assert lab("stat", "-c", "%a %U:%G", directory).strip() == "750 tickerd:tickerd"
    lab("systemctl", "enable", "--now", "tickerd")
    lab("test", "-s", "/var/lib/tickerd/bootstrap.key")
    tickerd = service_class(lab)  # edits the configuration
    lab("systemctl", "reload", "tickerd")
    tickerd.until_ticks()

    again = make("install", "PREFIX=/opt/feeds/tickerd")
    assert again.returncode == 0, again.stderr
    assert "min_free" in lab("cat", "/etc/tickerd/tickerd.yaml")
    lab("systemctl", "restart", "tickerd")
    tickerd.until_ticks()

    assert make("uninstall", "PREFIX=/opt/feeds/tickerd").returncode == 0
    assert lab.try_("systemctl", "cat", "tickerd.service").returncode != 0
    for gone in ("/opt/feeds/tickerd", "/usr/local/bin/tickerd", f"{units}/tickerd.socket"):
        assert lab.try_("test", "-e", gone).returncode == 1
    lab("test", "-s", "/etc/tickerd/tickerd.yaml")
    lab("test", "-s", "/var/lib/tickerd/tickerd.db")


def test_a_python_that_the_service_cannot_reach_is_refused(make):
    lab = make.lab
    lab("sh", "-c", "mkdir -p /home/me && cp /usr/bin/python3 /home/me/python3")
    done = lab.try_("env", "make", "-C", "/srv/source", "install", "PYTHON=/home/me/python3")
    assert done.returncode != 0
    assert "choose another with PYTHON=/usr/bin/python3" in done.stderr


def test_a_prefix_that_is_somebody_elses_is_left_alone(make):
    """It would be replaced as a whole, and removed as a whole."""
    for target in ("install", "uninstall"):
        done = make(target, "PREFIX=/usr/local")
        assert done.returncode != 0
        assert "/usr/local is there already and not tickerd's" in done.stderr
    make.lab("test", "-d", "/usr/local/bin")
