"""docs/access.md and the lists in docs/plugins.md say what the code says."""

import re
from pathlib import Path

import pytest

from tickerd.plugin import RATE_CLASSES, SCOPES
from tickerd.state import keyring, keys, pepper
from tickerd.state.keytext import PATTERN, new_key


@pytest.fixture(scope="module")
def page(checkout: Path) -> str:
    return (checkout / "docs" / "access.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def plugins_page(checkout: Path) -> str:
    return (checkout / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_the_pattern_for_scanners_is_the_real_one_and_finds_a_key(page: str) -> None:
    (written,) = re.findall(r"regex = '''(.*)'''", page)
    assert written == rf"\b({PATTERN})\b"
    text = new_key("live").text
    assert re.findall(written, f"KEY={text}\n") == [text]


def test_every_scope_is_listed_with_its_sentence(plugins_page: str) -> None:
    for name, doc in SCOPES.items():
        assert f"| `{name}` | {doc} |" in plugins_page


def test_every_route_class_is_listed_with_its_default(plugins_page: str) -> None:
    for name, (rate, doc) in RATE_CLASSES.items():
        assert f"| `{name}` | `{rate}` | {doc} |" in plugins_page


def test_the_numbers_and_files_are_the_real_ones(page: str) -> None:
    assert f"| `{pepper.FILE}` |" in page
    assert f"| `{keyring.BOOTSTRAP_FILE}` |" in page
    assert f"It works for {keys.BOOT_LIFE_NS // (86_400 * 10**9)} days" in page
    assert f"for {keys.KEEP_ENDED_NS // (86_400 * 10**9)} days or longer" in page
    assert f"There can be {keys.MOST:,} keys" in page
