"""Tests of `tickerd.config.document`: files that cannot be used, and how each is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tickerd.config import ConfigError, load_document, parse_document
from tickerd.config.nodes import MAX_VALUES


def told(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_document(path)
    return "\n".join(problem.text() for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "t.yaml: is empty (it needs at least the section 'sources')"),
        ("# nothing yet\n---\n", "t.yaml: is empty (it needs at least the section 'sources')"),
        (b"\x7fELF\x00\x01", "t.yaml: is a binary file, expected text"),
        ("sources: {}\n".encode("utf-16"), "t.yaml: is UTF-16 text, expected UTF-8"),
        ("[" * 10_000_000, "t.yaml: is larger than 1 MiB"),
        (
            b"log:\n  file: caf\xe9\n",
            "t.yaml:2:12: is not UTF-8 text from here on\n      file: caf�\n               ^",
        ),
        (
            "- sources\n",
            "t.yaml:1:1: expected a mapping of sections (sources, sinks, …)\n    - sources\n    ^",
        ),
        ("text\n", "t.yaml:1:1: expected a mapping of sections (sources, sinks, …)\n    text\n    ^"),
    ],
)
def test_a_file_that_is_no_configuration_is_told_by_what_it_is(write, content, expected):
    assert told(write(content)) == expected


def test_a_missing_file_is_told(write):
    write("", "other.yaml")
    assert told(Path("t.yaml")) == "t.yaml: no such file"


def test_a_directory_is_told(write):
    write("", "t.yaml/x")
    assert told(Path("t.yaml")) == "t.yaml: is a directory, expected a file"


AS_NOBODY = """
import os
from pathlib import Path
from tickerd.config import ConfigError, load_document
if os.geteuid() == 0:  # root may read everything; become nobody once all is imported
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    load_document(Path("t.yaml"))
except ConfigError as error:
    print(error)
"""


def test_a_file_without_permission_is_told(write, tmp_path):
    write("sources: {}\n").chmod(0)
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=True)
    assert done.stdout == f"t.yaml: permission denied for user id {os.geteuid() or 65534}\n"


def test_a_byte_order_mark_and_any_line_ends_are_fine(write):
    for text in ("\ufeffa: 1\nb: 2\n", "a: 1\r\nb: 2\r\n", "a: 1\rb: 2\r"):
        root = load_document(write(text)).root
        assert list(root.entries) == ["a", "b"]
        assert root.entries["b"].key[1:3] == (2, 1)


def test_conf_d_is_merged_deeply_in_order_of_names(write):
    main = write("sources: {kite: {use: kite}}\nsinks:\n")
    write("sinks: {b: {use: file}}\n", "conf.d/20.yaml")
    write("sources: {kite: {api_key: k}}\nsinks: {a: {use: file}}\n", "conf.d/10.yaml")
    document = load_document(main)
    assert list(document.lines) == ["t.yaml", "conf.d/10.yaml", "conf.d/20.yaml"]
    assert document.file == "t.yaml"
    kite = document.root.entries["sources"].value.entries["kite"]
    assert kite.key.file == "t.yaml"
    assert [(key, entry.key.file) for key, entry in kite.value.entries.items()] == [
        ("use", "t.yaml"),
        ("api_key", "conf.d/10.yaml"),
    ]
    assert list(document.root.entries["sinks"].value.entries) == ["a", "b"]


def test_files_in_conf_d_may_be_empty_or_hidden(write):
    main = write("a: 1\n")
    write("# all commented out\n", "conf.d/10.yaml")
    write("]", "conf.d/.editor.yaml")
    write("b:\n", "conf.d/20.yaml")
    assert list(load_document(main).root.entries) == ["a", "b"]


def test_an_empty_section_gives_way_in_either_file(write):
    main = write("a: {x: 1}\n")
    write("a:\n", "conf.d/10.yaml")
    document = load_document(main)
    assert document.problems == ()
    assert list(document.root.entries["a"].value.entries) == ["x"]


def test_a_key_in_two_files_is_a_problem_that_names_both_places(write):
    main = write("a:\n  x: [1]\n")
    write("a:\n  y: 1\n  x: [2]\n", "conf.d/10.yaml")
    [problem] = load_document(main).problems
    assert problem.text() == "conf.d/10.yaml:3:3: a.x: duplicate key, first set at t.yaml:2:3"


def test_a_broken_file_in_conf_d_is_named_and_all_broken_files_are_told(write):
    main = write("a: [1\n")
    write("b: 1\nb: 2\nc: {x: 1\n", "conf.d/10.yaml")
    write("", "conf.d/20.yaml/x")
    assert told(main).split("\n") == [
        "t.yaml:1:4: a '[' is opened here; a ',' or the closing ']' is missing",
        "    a: [1",
        "       ^",
        "conf.d/10.yaml:2:1: b: duplicate key, first set at conf.d/10.yaml:1:1",
        "    b: 2",
        "    ^",
        "conf.d/10.yaml:3:4: a '{' is opened here; a ',' or the closing '}' is missing",
        "    c: {x: 1",
        "       ^",
        "conf.d/20.yaml: is a directory, expected a file",
    ]


def test_a_conf_d_that_cannot_be_listed_is_told(write):
    main = write("a: 1\n")
    write("", "conf.d")
    assert told(main) == "conf.d: cannot be listed: not a directory"


def test_a_yml_file_in_conf_d_is_warned_about(write):
    main = write("a: 1\n")
    write("b: 1\n", "conf.d/10.yml")
    write("b: 1\n", "conf.d/README")
    [warning] = load_document(main).warnings
    assert warning.text("warning") == "conf.d/10.yml: warning: is not read (its name must end in .yaml)"


@pytest.mark.full
def test_many_files_together_hold_no_more_than_one_may(write):
    main = write("a: 1\n")
    half = "[" + "1," * (MAX_VALUES // 2) + "]\n"
    write("b: " + half, "conf.d/1.yaml")
    write("c: " + half, "conf.d/2.yaml")
    assert told(main) == "conf.d/2.yaml: with it the configuration holds more than 100,000 values"


def test_a_text_that_is_in_no_file_can_be_read():
    document = parse_document(b"a: 1\n")
    assert document.file == "-"
    with pytest.raises(ConfigError, match=r"^-: is larger than 1 MiB$"):
        parse_document(b"a" * 2_000_000)
    with pytest.raises(ConfigError, match=r"^posted:1:4: a value is missing here"):
        parse_document(b"a: ]", "posted")
