"""The example is a distribution that works for somebody who has nothing but an installed tickerd."""

import json
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tickerd.plugin.hooks import API_VERSION

Run = Callable[..., str]


@pytest.fixture(scope="module")
def example(checkout: Path) -> Path:
    return checkout / "plugins" / "example"


@pytest.fixture(scope="module")
def wheel(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is written into the checkout."""
    copy = tmp_path_factory.mktemp("source") / "example"
    shutil.copytree(example, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "build", "dist"))
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    _run([*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", str(copy.parent), str(copy)], copy)
    (built,) = copy.parent.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment of its own, which holds the example and sees what the tests' environment holds."""
    home = tmp_path_factory.mktemp("venv")
    _run([sys.executable, "-m", "venv", "--without-pip", str(home)], home)
    (site,) = home.glob("lib/python*/site-packages")
    # not the bare path: `addsitedir` reads the .pth files there too, and an editable tickerd is one
    outer = sysconfig.get_path("purelib")
    (site / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
    inside = str(home / "bin" / "python")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        inside,
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    _run([*pip, "--no-index", "--no-deps", str(wheel)], home)
    return inside


def _run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_it_is_found_by_its_entry_point_and_nothing_is_wrong_with_it(python: str, tmp_path: Path) -> None:
    code = (
        "import json; from tickerd.runtime.registry import Registry; "
        "d = Registry.installed().describe('example'); "
        "print(json.dumps([d.installed.distribution, d.kinds, d.commands, d.problem]))"
    )
    assert json.loads(_run([python, "-c", code], tmp_path)) == [
        "tickerd-example",
        ["source", "sink", "authenticator"],
        ["example-feed"],
        None,
    ]


def test_its_own_tests_pass_against_what_was_installed(python: str, example: Path, tmp_path: Path) -> None:
    shutil.copytree(example / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(example / "pyproject.toml", tmp_path)
    said = _run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path)
    assert " passed" in said
    assert "skipped" not in said


@pytest.fixture
def feed(python: str, tmp_path: Path) -> Iterator[str]:
    """The address of the toy feed, served by the plugin's command."""
    command = [python, "-m", "tickerd", "example-feed", "--listen", "127.0.0.1:0", "--every", "0.02"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        out: IO[str] | None = process.stdout
        assert out is not None
        try:
            yield out.readline().split()[-1]
        finally:
            process.kill()


def test_a_pipeline_runs_with_it(python: str, example: Path, feed: str, tmp_path: Path) -> None:
    sample = (example / "sample.yaml").read_text()
    assert "127.0.0.1:7900" in sample
    (tmp_path / "sample.yaml").write_text(sample.replace("127.0.0.1:7900", feed))
    _run([python, "-m", "tickerd", "run", "-c", "sample.yaml", "--for", "1s"], tmp_path)
    prices = json.loads((tmp_path / "latest.json").read_bytes())
    assert set(prices) == {"TOY:ACME", "TOY:GLOBEX"}
    assert all(price > 0 for price in prices.values())


def test_the_wheel_holds_the_package_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name for name in names if name.startswith("tickerd_example/")}
    assert inside == {
        f"tickerd_example/{name}"
        for name in ("__init__.py", "auth.py", "feed.py", "protocol.py", "py.typed", "sink.py", "source.py")
    }
    assert any(name.endswith("LICENSE") for name in names)


def test_it_names_this_version_of_the_api_and_this_licence(checkout: Path, example: Path) -> None:
    assert f"TICKERD_API = {API_VERSION}" in (example / "src/tickerd_example/__init__.py").read_text()
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert (example / "LICENSE").read_bytes() == (checkout / "LICENSE").read_bytes()


def test_its_readme_names_every_file_and_every_option(example: Path) -> None:
    readme = (example / "README.md").read_text()
    for file in (example / "src/tickerd_example").glob("*.py"):
        assert file.name in readme
    for name in ("address", "silence", "path", "file", "header", "scopes"):
        assert f"`{name}`" in readme


def test_it_imports_only_the_public_parts_of_tickerd(example: Path) -> None:
    for folder, allowed in (("src", ("tickerd.plugin",)), ("tests", ("tickerd.plugin", "tickerd.testing"))):
        for file in (example / folder).rglob("*.py"):
            for text in file.read_text().splitlines():
                words = text.split()
                if words[:1] in (["from"], ["import"]) and words[1].partition(".")[0] == "tickerd":
                    assert words[1] in allowed, f"{file.name}: {text}"


@pytest.mark.full
def test_it_is_typed(example: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(example / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    _run([sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(copy)], tmp_path)
