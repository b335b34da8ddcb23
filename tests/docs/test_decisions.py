"""docs/decisions/: numbered without a hole, listed, and of one shape."""

import re
from typing import Any


def test_they_are_numbered_and_listed(decisions: list[Any]) -> None:
    index, *pages = decisions
    titles = [page.text.splitlines()[0].removeprefix("# ") for page in pages]
    assert [title.partition(".")[0] for title in titles] == [str(n + 1) for n in range(len(pages))]
    assert [page.path.name[:4] for page in pages] == [f"{n + 1:04}" for n in range(len(pages))]
    listed = re.findall(r"^(\d+\.) \[(.+)\]\((.+)\)$", index.text, re.MULTILINE)
    assert listed == [
        (f"{n}.", title.partition(". ")[2], page.path.name)
        for n, (title, page) in enumerate(zip(titles, pages, strict=True), 1)
    ]


def test_each_says_why_what_and_what_follows(decisions: list[Any]) -> None:
    for page in decisions[1:]:
        headings = re.findall(r"^## (.+)$", page.text, re.MULTILINE)
        assert headings == ["Why it came up", "What we do", "What follows"], page.id
