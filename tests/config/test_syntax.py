"""Tests of `tickerd.config.syntax`: what a mistake in the YAML itself is called."""

import pytest

from tickerd.config import ConfigError, parse_document

TAG_HINT = "(write secrets as ${env:NAME}, ${file:/path} or ${credential:name})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n\tb: 1\n", "f:2:1: a tab cannot be used for indentation (use spaces)\n    \tb: 1\n    ^"),
        (
            "a:\n  b: 1\n\tc: 1\n",
            "f:3:1: a tab cannot be used for indentation (use spaces)\n    \tc: 1\n    ^",
        ),
        ("a:\n\t- 1\n", "f:2:1: a tab cannot be used for indentation (use spaces)\n    \t- 1\n    ^"),
        (
            "a: b: c",
            (
                "f:1:5: a ':' cannot stand here (put the value in quotes, or check the indentation)\n"
                "    a: b: c\n        ^"
            ),
        ),
        ("a: - b", "f:1:4: a list item cannot stand here (check the indentation)\n    a: - b\n       ^"),
        (
            "a:\n  b: 1\n c: 2",
            "f:3:2: this does not fit what stands before it (check indentation and quotes)\n     c: 2\n     ^",
        ),
        (
            "a: @b",
            "f:1:4: a value cannot begin with this character (put the value in quotes)\n    a: @b\n       ^",
        ),
        (
            'a: "\\q"',
            (
                "f:1:6: unknown escape in a double-quoted text (use single quotes, or write \\\\)\n"
                '    a: "\\q"\n         ^'
            ),
        ),
        (
            "a: !b!c d",
            "f:1:4: a tag cannot be used here (to begin a text with '!', put it in quotes)\n    a: !b!c d\n       ^",
        ),
        ("a: [\n", "f:2:1: the file ends here, and a ']' or '}' is missing"),
        ("a: ]", "f:1:4: a value is missing here\n    a: ]\n       ^"),
        (
            "%FOO\na: 1",
            "f:2:1: this cannot follow what stands before it (check the indentation)\n    a: 1\n    ^",
        ),
        (
            'a: "b\n---\nc"',
            "f:2:1: a document separator cannot stand inside a text\n    ---\n    ^",
        ),
        ('a: "b\nc: d\n', 'f:1:4: a quote is opened here and never closed\n    a: "b\n       ^'),
        ("a: 'b\n", "f:1:4: a quote is opened here and never closed\n    a: 'b\n       ^"),
        ("a: 1\nb\n", "f:2:1: a ':' is missing after this\n    b\n    ^"),
        ("a: [b", "f:1:4: a '[' is opened here; a ',' or the closing ']' is missing\n    a: [b\n       ^"),
        (
            "a: {b: 1",
            "f:1:4: a '{' is opened here; a ',' or the closing '}' is missing\n    a: {b: 1\n       ^",
        ),
        (
            "a: * b",
            "f:1:4: an alias is '*' and a name (to begin a text with '*', put it in quotes)\n    a: * b\n       ^",
        ),
        (
            "a: & b",
            "f:1:4: an anchor is '&' and a name (to begin a text with '&', put it in quotes)\n    a: & b\n       ^",
        ),
        ("a: |2x\n  b", "f:1:6: not valid YAML from here on\n    a: |2x\n         ^"),
        ("a: \x1b[0m", "f:1:4: a control character, which YAML does not allow\n    a: ?[0m\n       ^"),
        ('a: "\\UFFFFFFFF"', "f: cannot be read as YAML"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document begins here; a file holds one\n    ---\n    ^"),
        ("a: !secret b", f"f:1:4: a: a tag cannot be used here {TAG_HINT}\n    a: !secret b\n       ^"),
        (
            "a: !!python/object:os.system b",
            f"f:1:4: a: a tag cannot be used here {TAG_HINT}\n    a: !!python/object:os.system b\n       ^",
        ),
        ("a: !x [b]", f"f:1:4: a: a tag cannot be used here {TAG_HINT}\n    a: !x [b]\n       ^"),
        ("a: !x {b: 1}", f"f:1:4: a: a tag cannot be used here {TAG_HINT}\n    a: !x {{b: 1}}\n       ^"),
        ("a: *b", "f:1:4: a: no anchor of this name stands before its alias\n    a: *b\n       ^"),
        (
            "a: &b [*b]",
            "f:1:8: a[0]: an alias cannot stand inside its own anchor\n    a: &b [*b]\n           ^",
        ),
        (
            "[a]: 1",
            "f:1:1: a key must be plain text (quote what stands before the ':')\n    [a]: 1\n    ^",
        ),
        (
            "a: &b [1]\n*b : 2",
            "f:2:1: a key must be plain text (quote what stands before the ':')\n    *b : 2\n    ^",
        ),
        (
            "<<: 1",
            "f:1:5: '<<': expected a mapping, an alias of one, or a list of those\n    <<: 1\n        ^",
        ),
    ],
)
def test_a_mistake_is_told_in_plain_words_at_its_place(text, expected):
    with pytest.raises(ConfigError) as caught:
        parse_document(text.encode(), "f")
    assert str(caught.value) == expected
