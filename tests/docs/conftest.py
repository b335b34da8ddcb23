"""Takes the documents apart: blocks of code, command lines, tables, links."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRONG = "<!-- wrong -->"
"""Stands before a block of YAML that shows a mistake; the block of text after it is what tickerd says."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMAND = re.compile(r"^(?:ExecStart=)?(?:\S*/)?(tickerd|make)(?= |$)(.*)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    document: Path
    line: int
    language: str
    text: str
    is_wrong: bool

    @property
    def id(self) -> str:
        """Where it is, as pytest shows it."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Document:
    """One Markdown file of ours."""

    path: Path

    @property
    def id(self) -> str:
        """Its name, as pytest shows it."""
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """All but the blocks of code."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> Iterator[Block]:
        """Its blocks of code, in order, without the indentation that they share."""
        text = self.text
        for match in _FENCE.finditer(text):
            indent, language, body = match.groups()
            body = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
            is_wrong = text[: match.start()].rstrip().endswith(WRONG)
            yield Block(self.path, text.count("\n", 0, match.start()) + 1, language, body, is_wrong)

    def spans(self) -> list[str]:
        """Code within sentences."""
        return _SPAN.findall(self.prose)

    def links(self) -> list[str]:
        """Targets of links."""
        return _LINK.findall(_SPAN.sub("", self.prose))

    def anchors(self) -> set[str]:
        """What a link can name behind a ``#``."""
        plain = (re.sub(r"[^\w\- ]", "", title.lower()) for _, title in _HEADING.findall(self.prose))
        return {title.strip().replace(" ", "-") for title in plain}

    def section(self, title: str) -> str:
        """What stands under a heading, up to the next of the same or a higher level."""
        headings = list(_HEADING.finditer(self.text))
        for index, match in enumerate(headings):
            if match[2] == title:
                rest = (h for h in headings[index + 1 :] if len(h[1]) <= len(match[1]))
                end = next((h.start() for h in rest), len(self.text))
                return self.text[match.end() : end]
        raise AssertionError(f"{self.id} has no heading {title!r}")

    def table(self, title: str, header: str) -> list[list[str]]:
        """Rows of the table under a heading whose first column is called so; cells without backticks around."""
        lines = iter(self.section(title).splitlines())
        next(line for line in lines if line.startswith(f"| {header} |"))
        next(lines)
        rows: list[list[str]] = []
        for line in lines:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        return rows

    def commands(self) -> Iterator[tuple[str, ...]]:
        """Every command line of tickerd or make, in shell blocks, units and sentences, as words."""
        candidates = self.spans()
        for block in self.blocks():
            if block.language in ("sh", "ini"):
                candidates += block.text.splitlines()
        for line in candidates:
            match = _COMMAND.match(line)
            if match is not None:
                words = shlex.split(re.split(r"\s[|<>;&#]", match[2])[0], comments=True)
                yield (match[1], *words)


PLUGINS = ROOT / "docs/plugins.md"
"""For plugin authors; tests/test_docs.py checks the code in it. Here only its links count."""


def _documents() -> list[Document]:
    top = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md")]
    return [Document(path) for path in [*top, *sorted((ROOT / "docs").rglob("*.md"))]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``document``: each of ours. ``yaml_block``: each that is right. ``command``: each command line."""
    documents = _documents()
    if "document" in metafunc.fixturenames:
        metafunc.parametrize("document", documents, ids=lambda one: one.id)
    documents = [document for document in documents if document.path != PLUGINS]
    if "block" in metafunc.fixturenames:
        blocks = [block for document in documents for block in document.blocks()]
        metafunc.parametrize("block", blocks, ids=lambda one: one.id)
    if "yaml_block" in metafunc.fixturenames:
        blocks = [block for document in documents for block in document.blocks() if block.language == "yaml"]
        metafunc.parametrize("yaml_block", [b for b in blocks if not b.is_wrong], ids=lambda one: one.id)
    if "command" in metafunc.fixturenames:
        found = sorted({command for document in documents for command in document.commands()})
        metafunc.parametrize("command", found, ids=" ".join)


@pytest.fixture
def readme() -> Document:
    """README.md."""
    return Document(ROOT / "README.md")


@pytest.fixture
def configuration() -> Document:
    """docs/configuration.md."""
    return Document(ROOT / "docs/configuration.md")


@pytest.fixture
def operations() -> Document:
    """docs/operations.md."""
    return Document(ROOT / "docs/operations.md")


@pytest.fixture
def journal() -> Document:
    """docs/journal.md."""
    return Document(ROOT / "docs/journal.md")


@pytest.fixture
def kite() -> Document:
    """docs/kite.md."""
    return Document(ROOT / "docs/kite.md")


@pytest.fixture
def decisions() -> list[Document]:
    """docs/decisions/, its index first."""
    folder = ROOT / "docs/decisions"
    return [Document(folder / "README.md"), *map(Document, sorted(folder.glob("0*.md")))]
