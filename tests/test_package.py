"""The wheel holds what users need and nothing else."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from email.parser import HeaderParser
from pathlib import Path

import pytest

LEFT_OUT = (".*", "__pycache__", "run", "dist", "build", "node_modules", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, so that nothing is written into the checkout; without isolation, so without a network."""
    copy = tmp_path_factory.mktemp("wheel") / "tickerd"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    command = [*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", str(copy.parent), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = copy.parent.glob("*.whl")
    return zipfile.ZipFile(built)


@pytest.fixture(scope="module")
def names(wheel: zipfile.ZipFile) -> Sequence[str]:
    return [name for name in wheel.namelist() if ".dist-info/" not in name]


def text_of(wheel: zipfile.ZipFile, name: str) -> str:
    (found,) = (one for one in wheel.namelist() if one.endswith(f".dist-info/{name}"))
    return wheel.read(found).decode()


def test_it_holds_both_packages_and_nothing_beside_them(names: Sequence[str]) -> None:
    assert {name.partition("/")[0] for name in names} == {"tickerd", "tickerd_plugins"}


def test_it_holds_every_module(names: Sequence[str], checkout: Path) -> None:
    roots = (checkout, "tickerd"), (checkout / "plugins", "tickerd_plugins")
    ours = {str(path.relative_to(root)) for root, top in roots for path in (root / top).rglob("*.py")}
    assert ours == {name for name in names if name.endswith(".py")}


def test_both_packages_are_typed(names: Sequence[str]) -> None:
    assert {"tickerd/py.typed", "tickerd_plugins/py.typed"} <= set(names)


def test_each_plugin_brings_its_readme_and_its_sample(names: Sequence[str]) -> None:
    folders = {
        name.split("/")[1] for name in names if name.startswith("tickerd_plugins/") and name.count("/") > 1
    }
    wanted = {
        f"tickerd_plugins/{folder}/{file}" for folder in folders for file in ("README.md", "sample.yaml")
    }
    assert folders >= {"api_key", "file", "gcra", "kite", "replay", "simulator", "unix_peer"}
    assert wanted <= set(names)


def test_there_are_no_tests_and_no_leftovers_in_it(names: Sequence[str]) -> None:
    for name in names:
        parts = Path(name).parts
        assert not {"tests", "config", "__pycache__", "example"} & set(parts[1:-1]) or parts[:2] == (
            "tickerd",
            "config",
        )
        assert Path(name).suffix in {".py", ".typed", ".md", ".yaml", ".json", ".sql", ".html"}, name


def test_it_declares_the_command_the_plugins_and_the_fixtures(wheel: zipfile.ZipFile) -> None:
    entry_points = text_of(wheel, "entry_points.txt")
    for line in (
        "tickerd = tickerd.cli:main",
        "kite = tickerd_plugins.kite",
        "simulator = tickerd_plugins.simulator",
        "replay = tickerd_plugins.replay",
        "file = tickerd_plugins.file",
        "api_key = tickerd_plugins.api_key",
        "unix_peer = tickerd_plugins.unix_peer",
        "gcra = tickerd_plugins.gcra",
        "tickerd = tickerd.testing.pytest_plugin",
    ):
        assert line in entry_points.splitlines()


def test_its_metadata_says_licence_and_python(wheel: zipfile.ZipFile) -> None:
    metadata = HeaderParser().parsestr(text_of(wheel, "METADATA"))
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert text_of(wheel, "licenses/LICENSE").lstrip().startswith("Apache License")
