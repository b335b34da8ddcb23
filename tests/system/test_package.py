"""The Debian package: installed, run, upgraded, removed, purged."""

import subprocess

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]


@pytest.fixture
def newer(package, tmp_path):
    """The same package as version 99."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    lines = control.read_text().splitlines()
    control.write_text(
        "\n".join("Version: 99" if line.startswith("Version:") else line for line in lines) + "\n"
    )
    made = package.parent / "newer.deb"
    command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", tree, made]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    yield made
    made.unlink()


def test_it_is_installed_run_upgraded_and_removed(package, newer, new_lab, service_class, default_config):
    lab = new_lab(f"{package.parent}:/mnt")
    lab("dpkg", "-i", f"/mnt/{package.name}")
    assert lab.try_("systemctl", "is-active", "tickerd").stdout.strip() == "inactive"
    assert lab("stat", "-c", "%a %U:%G", "/etc/tickerd/tickerd.yaml").strip() == "640 root:tickerd"
    assert lab("stat", "-c", "%a %U:%G", "/var/lib/tickerd").strip() == "750 tickerd:tickerd"
    lab("tickerd", "check", "/etc/tickerd/tickerd.yaml")  # as it comes
    lab("systemctl", "enable", "--now", "tickerd")
    assert lab("systemctl", "is-enabled", "tickerd.socket").strip() == "enabled"
    assert lab("stat", "-c", "%a %U", "/var/lib/tickerd/bootstrap.key").strip() == "600 tickerd"

    tickerd = service_class(lab)  # edits the configuration
    lab("systemctl", "reload", "tickerd")
    tickerd.until_ticks()
    done = lab.try_("dpkg", "-i", "/mnt/newer.deb")
    assert done.returncode == 0, done.stderr
    tickerd.until_ticks()
    assert tickerd.api("/v1/status")["picture"]["epoch"] == 2
    assert lab("cat", "/etc/tickerd/tickerd.yaml").strip() == default_config.strip()
    assert "99" in lab("dpkg-query", "-W", "tickerd")

    lab("dpkg", "--remove", "tickerd")
    assert lab.try_("systemctl", "cat", "tickerd.service").returncode != 0
    assert lab.try_("test", "-e", "/opt/tickerd").returncode == 1
    assert lab.try_("test", "-S", "/run/tickerd.sock").returncode == 1
    lab("test", "-e", "/etc/tickerd/tickerd.yaml")
    lab("dpkg", "--purge", "tickerd")
    assert lab.try_("test", "-e", "/etc/tickerd/tickerd.yaml").returncode == 1
    lab("test", "-e", "/var/lib/tickerd/tickerd.db")
    lab("sh", "-c", "ls /var/lib/tickerd/ticks/*/NSE.jsonl*")


def test_nothing_in_it_names_the_place_where_it_was_built(package, lab):
    done = lab.try_("grep", "-rlE", "deb\\.[A-Za-z0-9]{6}|/opt/tickerd\\.new", "/opt/tickerd")
    assert done.stdout == ""
    broken = lab("find", "/opt/tickerd", "-xtype", "l")
    assert broken == ""
    foreign = lab(
        "find", "/opt/tickerd", "(", "-not", "-user", "root", "-o", "-perm", "/022", ")", "-not", "-type", "l"
    )
    assert foreign == ""


def test_what_it_runs_has_been_compiled(lab):
    """The service may not write byte code, and each start would pay for it."""
    count = "find /opt/tickerd/lib -name {} -path '*tickerd*' | wc -l"
    sources, compiled = (int(lab("sh", "-c", count.format(kind))) for kind in ("'*.py'", "'*.pyc'"))
    assert compiled == sources > 100
