"""The documentation names what there is: every hook, public name and option, and its programs work."""

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tickerd.plugin
import tickerd.testing
from tickerd.config.settings import SINK_RESERVED, SOURCE_RESERVED
from tickerd.plugin import (
    RECORD_KINDS,
    AuthContext,
    Row,
    ServingContext,
    Sink,
    SinkContext,
    SourceContext,
    Tick,
    UnitContext,
    hooks,
)
from tickerd.plugin import sink as sink_module
from tickerd.runtime.registry import Registry
from tickerd.testing import check_plugin

BUNDLED = [one.name for one in Registry.installed().plugins() if one.distribution == "tickerd"]
HOOKS = [node for node in ast.parse(inspect.getsource(hooks)).body if isinstance(node, ast.FunctionDef)]
CONTEXTS = [UnitContext, SourceContext, SinkContext, ServingContext, AuthContext]
DURABLE = ["commit", "committed", "restore", "resume_from", "relocated"]
"""Methods of a sink that durable delivery and replays call."""


@pytest.fixture(scope="module")
def page(checkout: Path) -> str:
    return (checkout / "docs" / "plugins.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """Fenced code of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table_names(text: str) -> list[str]:
    """What stands in the first column of tables, in code."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_there_are_hooks_and_bundled_plugins_to_look_for() -> None:
    assert len(HOOKS) >= 8
    assert BUNDLED == [
        "api_key",
        "file",
        "gcra",
        "kite",
        "replay",
        "simulator",
        "unix_peer",
        "webhook",
        "websocket",
    ]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_every_hook_is_documented_with_its_exact_signature(page: str, hook: ast.FunctionDef) -> None:
    assert hook.returns is not None
    signature = f"def {hook.name}({ast.unparse(hook.args)}) -> {ast.unparse(hook.returns)}"
    assert signature in [block.strip() for block in blocks(page, "python")]


def test_no_hook_is_documented_that_does_not_exist(page: str) -> None:
    named = set(re.findall(r"\btickerd_\w+", page)) - {"tickerd_context", "tickerd_cli", "tickerd_example"}
    assert named == {hook.name for hook in HOOKS}


@pytest.mark.parametrize("name", DURABLE)
def test_what_a_durable_sink_can_do_is_documented_with_its_exact_signature(page: str, name: str) -> None:
    classes = [
        node for node in ast.parse(inspect.getsource(sink_module)).body if isinstance(node, ast.ClassDef)
    ]
    (sink,) = [node for node in classes if node.name == "Sink"]
    functions = [node for node in sink.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    (function,) = [node for node in functions if node.name == name]
    function.body = [ast.Expr(ast.Constant(...))]
    signature = ast.unparse(function).removesuffix(":\n    ...")
    assert signature in [block.strip() for block in blocks(page, "python")]


def test_every_method_of_a_sink_is_documented(page: str) -> None:
    for name in vars(Sink):
        assert name.startswith("_") or re.search(rf"`{name}\b|def {name}\(", page), name


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.__name__)
def test_every_member_of_a_context_is_documented(page: str, context: type) -> None:
    for name in vars(context):
        assert name.startswith("_") or re.search(rf"[`( ]{name}[`(.]", page), name


@pytest.mark.parametrize("module", [tickerd.plugin, tickerd.testing], ids=lambda module: module.__name__)
def test_every_public_name_is_documented_and_no_other(page: str, module: ModuleType) -> None:
    section = page.split(f"Of `{module.__name__}`:")[1].split("\nOf `", maxsplit=1)[0]
    named = table_names(section)
    assert sorted(named) == sorted(module.__all__)
    assert named == sorted(named, key=str.lower)


def test_every_column_of_a_tick_is_documented(page: str) -> None:
    public = {name for name in dir(Tick) if isinstance(getattr(Tick, name, None), property)} - {"row", "json"}
    for name in {*Row.__struct_fields__, *public} - {"epoch", "seq"}:
        assert f"`{name}`" in page, name


def test_every_kind_of_record_and_every_reserved_option_is_documented(page: str) -> None:
    for name in (*RECORD_KINDS, *SOURCE_RESERVED, *SINK_RESERVED):
        assert f"| `{name}` |" in page, name


@pytest.mark.parametrize("name", ["tickerd_context", "tickerd_cli"])
def test_every_fixture_is_documented(page: str, name: str) -> None:
    from tickerd.testing import pytest_plugin

    assert hasattr(pytest_plugin, name)
    assert f"`{name}`" in page


def options_of(name: str) -> Iterator[tuple[str, Any]]:
    registry = Registry.installed()
    for kind in registry.describe(name).kinds:
        for option, field in getattr(registry, kind)(name).Options.model_fields.items():
            yield field.alias or option, field


@pytest.mark.parametrize("name", BUNDLED)
def test_every_option_of_a_bundled_plugin_is_in_its_readme(checkout: Path, name: str) -> None:
    readme = (checkout / "plugins" / "tickerd_plugins" / name / "README.md").read_text()
    missing = [option for option, _ in options_of(name) if f"`{option}`" not in readme]
    assert not missing


@pytest.mark.parametrize("name", BUNDLED)
def test_every_bundled_plugin_keeps_the_rules_for_plugins(name: str) -> None:
    from importlib import import_module

    check_plugin(import_module(f"tickerd_plugins.{name}"))


def test_the_plugin_on_the_page_is_one(page: str) -> None:
    code = next(block for block in blocks(page, "python") if "TICKERD_API" in block)
    module = ModuleType("from_the_page")
    exec(compile(code, "docs/plugins.md", "exec"), module.__dict__)
    check_plugin(module)


def test_code_that_is_more_than_a_signature_can_be_imported(page: str) -> None:
    for block in blocks(page, "python"):
        if block.lstrip().startswith(("from ", "import ")):
            exec(compile(block, "docs/plugins.md", "exec"), {})
    for block in blocks(page, "toml"):
        assert tomllib.loads(block)["project"]["entry-points"]["tickerd"]


def test_links_on_the_page_lead_somewhere(page: str, checkout: Path) -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in page.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", page):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            # headings of other pages: tests/docs/test_documents.py
            assert (checkout / "docs" / target.partition("#")[0]).exists(), target
