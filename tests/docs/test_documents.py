"""What every document has to keep: links that lead somewhere, code that is right, commands that exist."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import click
import pytest

from tickerd.cli.main import cli
from tickerd.config import load
from tickerd.runtime.registry import Registry

_PLACEHOLDERS = {"SHELL": "bash", "FILE…": "tickerd.yaml"}


def test_each_link_leads_to_a_file_and_a_heading(document: Any) -> None:
    for link in document.links():
        if re.match(r"https?://", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (document.path.parent / path).resolve() if path else document.path
        assert target.exists(), f"{document.id} links to {link!r}"
        if anchor:
            assert anchor in type(document)(target).anchors(), f"{document.id} links to {link!r}"


def test_each_document_is_linked_from_the_index(document: Any, checkout: Path) -> None:
    if document.id in ("docs/README.md", "README.md") or "/decisions/0" in document.id:
        return
    index = type(document)(checkout / "docs/README.md")
    assert document.path in [(index.path.parent / link).resolve() for link in index.links()]


def test_each_block_says_its_language(block: Any) -> None:
    assert block.language in ("yaml", "sh", "text", "json", "python", "javascript", "ini")


def test_each_json_block_can_be_read(block: Any) -> None:
    if block.language == "json":
        assert json.loads(block.text)


def test_each_python_block_compiles(block: Any) -> None:
    if block.language == "python":
        compile(block.text, block.id, "exec")


def test_each_configuration_compiles(
    yaml_block: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """References are given something to stand for; a block without sources is a fragment and gets one."""
    text = yaml_block.text
    env = dict.fromkeys(re.findall(r"\$\{env:(\w+)\}", text), "anything")
    env["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    for name in re.findall(r"\$\{credential:([\w.-]+)\}", text):
        (tmp_path / name).write_text("anything\n")
    if not re.search(r"^sources:", text, re.MULTILINE):
        text = f"sources: {{demo: {{use: simulator}}}}\n{text}"
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tickerd.yaml"
    file.write_text(text)

    compiled = load(file, Registry.installed(), env)

    assert compiled.settings.sources


def test_each_command_line_is_understood(command: tuple[str, ...], checkout: Path) -> None:
    program, *words = command
    if program == "make":
        _check_make(words, (checkout / "Makefile").read_text())
    else:
        _check_tickerd([_PLACEHOLDERS.get(word, word) for word in words])


def test_a_wrong_command_line_is_noticed() -> None:
    for words in (["runn"], ["run", "--confg", "x"], ["completion", "cmd"], ["--nope"]):
        with pytest.raises(click.UsageError):
            _check_tickerd(words)


def _check_make(words: list[str], makefile: str) -> None:
    targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
    variables = re.findall(r"^([A-Z]+)\s*\?=", makefile, re.MULTILINE)
    for word in words:
        name, equals, _ = word.partition("=")
        assert name in (variables if equals else targets), word


def _check_tickerd(words: list[str]) -> None:
    """Parse as the command line would; a bare name is a mention of the command."""
    if not words:
        return
    try:
        with cli.make_context("tickerd", list(words)) as context:
            _, command, rest = cli.resolve_command(context, list(words))
            assert command is not None
            if not rest:
                return
            with command.make_context(command.name, list(rest), parent=context) as inner:
                wrapped = inner.params.get("command") or ()
    except (
        click.exceptions.Exit,
        click.MissingParameter,
    ):  # --help; a mention, such as `tickerd check --print`
        return
    if wrapped:
        assert Path(wrapped[0]).name == "tickerd"
        _check_tickerd(list(wrapped[1:]))
