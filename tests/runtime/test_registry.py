"""Plugins found, imported when named, and refused one by one."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import click
import pytest

from tickerd.config.problem import PluginProblem
from tickerd.runtime.registry import Installed, Registry

GOOD = """
import click
from tickerd.plugin import Options, Sink, Source, hookimpl, option

TICKERD_API = 0

class In(Source):
    class Options(Options):
        rate: int = option(1, doc="A rate.")
    def __init__(self, options): ...
    async def run(self, ctx, *, task_status): ...

class Out(Sink):
    class Options(Options):
        path: str = option("x", doc="A path.")
    def __init__(self, options, ctx): ...
    async def write(self, batch): return []

@click.command()
def greet(): click.echo("hello")

class Wire:
    id = "wire"
    def split(self, raw): ...
    def join(self, tokens, packets): ...
    def row(self, packet, stamp): ...
    def marks(self, packets, previous): ...

@hookimpl
def tickerd_sources(): return In
@hookimpl
def tickerd_sinks(): return Out
@hookimpl
def tickerd_commands(): return [greet]
@hookimpl
def tickerd_codecs(): return [Wire()]
"""

ONLY_API = "from tickerd.plugin import *\nfrom tickerd.plugin import hookimpl\nTICKERD_API = 0\n"

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one plugin on the path: ``install("name", "its code")``."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def add(name: str, code: str, *, distribution: str = "", module: str = "", version: str = "1.0") -> None:
        distribution, module = distribution or f"dist-{name}", module or f"plug_{name}"
        if code:
            (tmp_path / f"{module}.py").write_text(dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[tickerd]\n{name} = {module}\n")

    yield add
    for name in set(sys.modules) - before:
        if name.startswith("plug_"):
            del sys.modules[name]


def problem_of(name: str, kind: str = "extension") -> PluginProblem:
    with pytest.raises(PluginProblem) as caught:
        getattr(Registry.installed(), kind)(name)
    return caught.value


def test_listing_imports_nothing(install: Install) -> None:
    install("good", "raise SystemExit('imported')")
    found = Registry.installed()
    assert Installed("good", "dist-good", "1.0", "plug_good") in found.plugins()
    assert "good" in found.names("source")
    assert "plug_good" not in sys.modules


def test_the_bundled_plugins_come_through_the_same_door() -> None:
    bundled = {one.name for one in Registry.installed().plugins() if one.distribution == "tickerd"}
    assert bundled == {
        "api_key",
        "file",
        "gcra",
        "kite",
        "replay",
        "simulator",
        "unix_peer",
        "webhook",
        "websocket",
    }


def test_only_what_is_named_is_imported(install: Install) -> None:
    install("good", GOOD)
    install("other", GOOD)
    registry = Registry.installed()
    assert registry.source("good").__name__ == "In"
    assert registry.sink("good").__name__ == "Out"
    assert "plug_good" in sys.modules
    assert "plug_other" not in sys.modules
    assert registry.source("good") is registry.source("good")


def test_names_leave_out_plugins_that_are_known_to_lack_the_kind(install: Install) -> None:
    install("idle", ONLY_API)
    registry = Registry.installed()
    assert "idle" in registry.names("source")
    registry.extension("idle")
    assert "idle" not in registry.names("source")
    assert "idle" in registry.names()


def test_codecs_are_those_of_imported_plugins_and_that_of_plain_rows(install: Install) -> None:
    install("good", GOOD)
    registry = Registry.installed()
    assert set(registry.codecs()) == {"plain"}
    registry.extension("good")
    assert set(registry.codecs()) == {"plain", "wire"}


def test_commands_come_from_every_plugin_that_works(install: Install) -> None:
    install("broken", "1 / 0")
    install("good", GOOD)
    assert Registry.installed().commands()["greet"].name == "greet"


def test_a_command_is_looked_for_no_further_than_needed(install: Install) -> None:
    install("aaa", GOOD)
    install("bbb", GOOD)
    command = Registry.installed().command("greet")
    assert isinstance(command, click.Command)
    assert "plug_bbb" not in sys.modules
    assert Registry.installed().command("no-such-command") is None


def test_of_two_commands_of_one_name_the_first_plugin_by_name_has_it(install: Install) -> None:
    install("bbb", GOOD)
    install("aaa", GOOD)
    registry = Registry.installed()
    both = registry.command("greet"), registry.commands()["greet"]
    assert both[0] is both[1] is sys.modules["plug_aaa"].greet


def test_a_name_that_is_missing_suggests_one_that_is_near(install: Install) -> None:
    install("postgres", GOOD)
    problem = problem_of("postgers")
    assert problem.text == "no plugin 'postgers' is installed"
    assert problem.suggestions == ("postgres",)


def test_a_plugin_that_was_installed_since_is_found(install: Install) -> None:
    registry = Registry.installed()
    assert "late" not in registry.names()
    install("late", GOOD)
    assert registry.source("late").__name__ == "In"


def test_a_failing_import_is_told_with_its_place(install: Install, tmp_path: Path) -> None:
    install("broken", "import json\nimport no_such_module_at_all\n")
    assert problem_of("broken").text == (
        "plugin 'broken' (dist-broken 1.0) fails to import: ModuleNotFoundError: "
        f"No module named 'no_such_module_at_all' ({tmp_path}/plug_broken.py:2)"
    )


def test_a_syntax_error_is_told_with_its_place(install: Install, tmp_path: Path) -> None:
    install("broken", "x = 1\ndef f(:\n")
    assert problem_of("broken").text.endswith(f"SyntaxError: invalid syntax ({tmp_path}/plug_broken.py:2)")


@pytest.mark.parametrize(("code", "said"), [("raise SystemExit", "SystemExit"), ("raise OSError", "OSError")])
def test_a_module_that_leaves_without_a_word_is_told_by_its_type(
    install: Install, tmp_path: Path, code: str, said: str
) -> None:
    install("broken", code)
    assert problem_of("broken").text.endswith(f"fails to import: {said} ({tmp_path}/plug_broken.py:1)")


def test_a_module_that_is_not_there_is_told(install: Install) -> None:
    install("hollow", "")
    assert problem_of("hollow").text == (
        "plugin 'hollow' (dist-hollow 1.0) fails to import: "
        "ModuleNotFoundError: No module named 'plug_hollow'"
    )


def test_a_broken_plugin_can_be_mended_without_a_restart(install: Install, tmp_path: Path) -> None:
    install("broken", "1 / 0")
    registry = Registry.installed()
    with pytest.raises(PluginProblem):
        registry.extension("broken")
    (tmp_path / "plug_broken.py").write_text(GOOD)
    assert registry.source("broken").__name__ == "In"


def test_a_plugin_without_a_version_is_refused(install: Install) -> None:
    install("bare", "x = 1")
    assert problem_of("bare").text == (
        "plugin 'bare' (dist-bare 1.0): it does not say TICKERD_API = 0, so it is no plugin for this tickerd"
    )


def test_a_plugin_for_another_version_is_refused(install: Install) -> None:
    install("future", "TICKERD_API = 7")
    assert problem_of("future").text == (
        "plugin 'future' (dist-future 1.0): it was written for plugin API 7 and this tickerd has 0; "
        "install versions of both that match"
    )


def test_two_distributions_with_one_name_are_refused(install: Install) -> None:
    install("twin", GOOD, distribution="one")
    install("twin", GOOD, distribution="two", version="2.0")
    assert (
        problem_of("twin").text
        == "plugin 'twin' comes from one 1.0 and two 2.0; uninstall all but one of them"
    )


def test_a_kind_that_the_plugin_does_not_have_is_refused(install: Install) -> None:
    install("half", GOOD.replace("@hookimpl\ndef tickerd_sources(): return In", ""))
    assert problem_of("half", "source").text == "plugin 'half' has no source, only a sink"
    install("idle", ONLY_API)
    assert problem_of("idle", "sink").text == "plugin 'idle' has no sink"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "@hookimpl\ndef tickerd_source(): ...",
            "there is no hook 'tickerd_source' (did you mean 'tickerd_sources'?)",
        ),
        ("@hookimpl\ndef whatever(): ...", "there is no hook 'whatever'"),
        ("def tickerd_sinks(): ...", "function 'tickerd_sinks' lacks the decorator @hookimpl"),
        ("@hookimpl\nasync def tickerd_sinks(): ...", "hook 'tickerd_sinks' is async"),
        (
            "@hookimpl\ndef tickerd_unit_changed(unit, colour): ...",
            "Argument(s) {'colour'} are declared in the hookimpl but can not be found in the hookspec",
        ),
        (
            "@hookimpl\ndef tickerd_codecs(): 1 / 0",
            "hook 'tickerd_codecs' fails: ZeroDivisionError: division by zero",
        ),
        ("@hookimpl\ndef tickerd_codecs(): return [object()]", "lacks id, split, join, row, marks"),
    ],
)
def test_a_hook_that_would_not_work_is_refused_at_once(install: Install, code: str, said: str) -> None:
    install("odd", ONLY_API + code)
    assert said in problem_of("odd").text


def test_an_optional_hook_of_another_version_is_accepted(install: Install) -> None:
    install("wide", ONLY_API + "@hookimpl(optionalhook=True)\ndef tickerd_of_the_future(): ...")
    Registry.installed().extension("wide")


def test_a_codec_that_means_something_else_elsewhere_is_refused(install: Install) -> None:
    install("aaa", GOOD)
    install("bbb", GOOD)
    registry = Registry.installed()
    registry.extension("aaa")
    with pytest.raises(PluginProblem, match="another plugin declares codec 'wire' already"):
        registry.extension("bbb")
    assert "plug_bbb" not in {name for name, _ in registry.manager.list_name_plugin()}


def test_two_names_may_lead_to_one_module(install: Install) -> None:
    install("one", GOOD, module="plug_shared")
    install("two", "", distribution="two", module="plug_shared")
    registry = Registry.installed()
    assert registry.source("one") is registry.source("two")


OPTIONS = """
from pydantic import BaseModel, Field
class In(Source):
    class Options({base}):
        {field}
    def __init__(self, options): ...
    async def run(self, ctx, *, task_status): ...
{more}
@hookimpl
def tickerd_sources(): return In
"""
PASS = "x: int = option(1, doc='d')"
INNER = "from pydantic import BaseModel\nclass Inner(BaseModel):\n    deep: int = 1\n"
UNFINISHED = """
from abc import abstractmethod
class In(In):
    @abstractmethod
    def f(self): ...
"""


@pytest.mark.parametrize(
    ("base", "field", "more", "said"),
    [
        ("Options", "use: int = option(1, doc='d')", "", "option 'use' is reserved"),
        ("Options", "x: int = option(1, doc='d', alias='subscribe')", "", "option 'subscribe' is reserved"),
        ("Options", "x: int = option(1, doc='')", "", "In.Options: option 'x' has no description"),
        ("Options", "x: int = Field(1, description='d')", "", "option 'x' does not say how a reload"),
        ("Options", PASS + "; model_config = {'extra': 'ignore'}", "", "changes 'extra' or 'frozen'"),
        ("BaseModel", PASS, "", "expected a subclass of tickerd.plugin.Options"),
        ("Options", PASS, "In.replace = 'instead'", "In.replace is 'instead', expected one of beside, after"),
        ("Options", PASS, UNFINISHED, "In does not define f"),
        ("Options", PASS, "In = 3", "its source is 3, expected a subclass of Source"),
        ("Options", PASS, "In = Sink", "expected a subclass of Source"),
    ],
)  # fmt: skip
def test_a_type_that_breaks_a_rule_is_refused(
    install: Install, base: str, field: str, more: str, said: str
) -> None:
    install("odd", ONLY_API + OPTIONS.format(base=base, field=field, more=more))
    assert said in problem_of("odd", "source").text


def test_options_inside_options_need_descriptions_too(install: Install) -> None:
    field = "x: dict[str, Inner | None] = option({}, doc='d')"
    code = (
        ONLY_API
        + "from pydantic import BaseModel\n"
        + INNER
        + OPTIONS.format(base="Options", field=field, more="")
    )
    install("odd", code)
    assert "In.Options.x: option 'deep' has no description" in problem_of("odd", "source").text


def test_every_fault_is_told_at_once(install: Install) -> None:
    install("odd", "def tickerd_sinks(): ...\ndef tickerd_sources(): ...")
    text = problem_of("odd").text
    assert "TICKERD_API" in text
    assert "'tickerd_sinks'" in text
    assert "'tickerd_sources'" in text


def test_a_plugin_describes_itself_and_a_broken_one_says_why(install: Install) -> None:
    install("good", GOOD)
    install("odd", GOOD.replace("return [greet]", "return [3]"))
    registry = Registry.installed()
    good = registry.describe("good")
    assert (good.kinds, good.codecs, good.commands, good.problem) == (
        ("source", "sink"),
        ("wire",),
        ("greet",),
        None,
    )
    assert "another plugin declares codec" in str(registry.describe("odd").problem)
    assert Registry.installed().describe("odd").problem == "plugin 'odd': command 3 is no click.Command"


def test_the_version_is_printed_without_importing_any_plugin() -> None:
    code = (
        "import sys\n"
        "from tickerd.cli import main\n"
        "sys.argv = ['tickerd', '--version']\n"
        "try: main()\n"
        "except SystemExit as left: assert not left.code\n"
        "assert not [m for m in sys.modules if m.startswith(('tickerd_plugins', 'trio', 'pydantic'))]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
