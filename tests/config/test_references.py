"""Tests of `tickerd.config.references`."""

import pytest

from tickerd.config.compose import Composer
from tickerd.config.references import MAX_FILE_BYTES, Resolver

FORMS = "(a reference is ${env:NAME}, ${file:/path} or ${credential:name}; for a literal ${ write $${)"


def resolve(text, env=None):
    return Resolver(env or {}).resolve(Composer("f", text).compose())


def test_a_reference_is_replaced_wherever_it_stands_in_a_scalar():
    env = {"A": "1", "B": "two", "EMPTY": ""}
    out = resolve('a: ${env:A}\nb: ["x${env:A}-${env:B}", "${env:EMPTY}"]\nc: 12\nd: $x ${env:B}$', env)
    assert out.value == {"a": "1", "b": ["x1-two", ""], "c": 12, "d": "$x two$"}
    assert out.secret == {("a",), ("b", 0), ("b", 1), ("d",)}
    assert out.problems == []
    assert out.texts == {"1", "two", ""}


def test_a_doubled_dollar_is_a_literal_one():
    out = resolve("a: $${env:A} $$${ ${env:A}", {"A": "1"})
    assert out.value == {"a": "${env:A} $${ 1"}
    assert resolve("a: $${env:A}").secret == set()


def test_what_a_reference_stands_for_is_not_resolved_again():
    assert resolve("a: ${env:A}", {"A": "${env:A}"}).value == {"a": "${env:A}"}


def test_keys_are_never_resolved():
    assert resolve('"${env:A}": 1', {"A": "x"}).value == {"${env:A}": 1}


def test_a_file_is_read_without_its_last_line_end(tmp_path):
    for content, value in [("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("s", "s"), (" s ", " s ")]:
        (tmp_path / "x").write_bytes(content.encode())
        assert resolve(f"a: ${{file:{tmp_path}/x}}").value == {"a": value}


def test_a_credential_is_a_file_in_the_directory_of_credentials(tmp_path):
    (tmp_path / "kite.key").write_text("s\n")
    out = resolve("a: ${credential:kite.key}", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert out.value == {"a": "s"}


def test_a_file_is_read_once(tmp_path):
    file = tmp_path / "x"
    file.write_text("s")
    resolver = Resolver({})
    root = Composer("f", f"a: ${{file:{file}}}").compose()
    resolver.resolve(root)
    file.unlink()
    assert resolver.resolve(root).value == {"a": "s"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("${env:A}", "the environment variable 'A' is not set"),
        ("${env:A B}", f"not a valid name in ${{env:…}} {FORMS}"),
        ("${file:x}", f"not a valid name in ${{file:…}} {FORMS}"),
        ("${credential:../x}", f"not a valid name in ${{credential:…}} {FORMS}"),
        ("${credential:..}", f"not a valid name in ${{credential:…}} {FORMS}"),
        ("${file:/nowhere/x}", "the file '/nowhere/x': no such file"),
        ("${file:/tmp}", "the file '/tmp': is a directory, expected a file"),
        ("${file:/dev/zero}", f"the file '/dev/zero': is larger than {MAX_FILE_BYTES >> 10} KiB"),
        (
            "${credential:k}",
            (
                "there is no directory of credentials ($CREDENTIALS_DIRECTORY is not set) "
                "(in the systemd unit, set LoadCredential=k:/path/to/file)"
            ),
        ),
        ("${vault:x}", f"not a reference that can be resolved {FORMS}"),
        ("${HOME}", f"not a reference that can be resolved {FORMS}"),
        ("${env:}", f"not a reference that can be resolved {FORMS}"),
        ("${env:A", f"not a reference that can be resolved {FORMS}"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_problem_at_its_place(reference, expected):
    out = resolve(f'a:\n  - "{reference}"\n')
    assert [problem.text() for problem in out.problems] == [f"f:2:5: a[0]: {expected}"]
    assert out.unresolved == {("a", 0)}


def test_a_missing_credential_says_how_to_set_one(tmp_path):
    out = resolve("a: ${credential:k}", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert out.problems[0].message == "the credential 'k': no such file"
    assert out.problems[0].hint == "in the systemd unit, set LoadCredential=k:/path/to/file"


def test_each_reference_that_leads_nowhere_is_told_and_each_time():
    out = resolve("a: ${env:A}${env:B}\nb: ${env:A}")
    assert [(problem.path, problem.message[25:28]) for problem in out.problems] == [
        ("a", "'A'"),
        ("a", "'B'"),
        ("b", "'A'"),
    ]


def test_aliases_cannot_multiply_without_end():
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    laughs += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    out = resolve(laughs)
    assert [problem.message for problem in out.problems] == [
        "with its aliases written out the configuration exceeds 100,000 values"
    ]


def test_aliases_cannot_nest_without_end():
    deep = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100))
    out = resolve(deep)
    assert [problem.message for problem in out.problems] == [
        "with its aliases written out the configuration exceeds 64 levels"
    ]


@pytest.mark.parametrize("reference", ["${env:HOME}", "${file:/etc/hostname}", "${credential:x}"])
def test_without_an_environment_nothing_is_resolved(reference):
    out = Resolver(None).resolve(Composer("f", f"a: x{reference}").compose())
    assert out.unresolved == out.secret == {("a",)}
    assert [problem.message for problem in out.problems] == [
        "references are not resolved in a document that was sent"
    ]
    assert out.texts == set()
