"""`tickerd keys`: on the state directory itself, with the daemon down or up; a key is shown once."""

import json
import os

import pytest
from click.testing import CliRunner

from tickerd.cli.keys import keys as command
from tickerd.plugin import SCOPES
from tickerd.state import audit, tools
from tickerd.state import keys as store
from tickerd.state.connection import FILE
from tickerd.state.keytext import parse_key
from tickerd.state.pepper import open_peppers
from tickerd.state.store import Store


@pytest.fixture
def state(tmp_path):
    made = Store(tmp_path / FILE)
    made.open()
    made.close()
    return tmp_path


@pytest.fixture
def run(state):
    def run(*words, code=0):
        result = CliRunner().invoke(command, [*words, "--state", str(state)])
        assert result.exit_code == code, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


def stored(state):
    with tools.reading(state) as connection:
        return store.every(connection)


def test_a_key_is_printed_alone_and_works(run, state):
    result = run("create", "charts", "--scope", "ticks:read", "--scope", "subs:write")
    text = result.stdout.rstrip("\n")
    given, (key,) = parse_key(text), stored(state)
    assert given.id == key.id
    assert key.digest == open_peppers(state).digest(text)
    assert (key.label, key.kind, key.scopes) == ("charts", "live", ("ticks:read", "subs:write"))
    assert result.stderr == (
        f"in {state} itself: no tickerd runs on it\n"
        f"key {key.id} works for ever; this is the only time that the key is shown\n"
    )


def test_all_that_can_be_said_of_a_key_is_kept(run, state):
    run(
        "create", "b", "--all-scopes", "--test", "--expires-in", "90 days", "--network", "10.0.0.0/8",
        "--network", "::1", "--rate", "reads=60/minute", "--connections", "3",
    )  # fmt: skip
    (key,) = stored(state)
    assert (key.kind, set(key.scopes)) == ("test", set(SCOPES))
    assert key.expires_ns == key.created_ns + 90 * 86_400 * 10**9
    assert key.shown(0)["networks"] == ["10.0.0.0/8", "::1/128"]
    assert key.shown(0)["limits"] == {"rates": {"reads": "60/minute"}, "connections": 3}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what the key may do, with --scope or --all-scopes"),
        (["--scope", "ticks:read", "--all-scopes"], "say what the key may do"),
        (["--scope", "nope"], "for --scope: expected a scope: one of admin:audit"),
        (["--scope", "ticks:read", "--network", "x"], "for --network: expected a network"),
        (["--scope", "ticks:read", "--expires-in", "soon"], "for --expires-in: expected a duration"),
        (["--scope", "ticks:read", "--rate", "reads"], "for --rate: write CLASS=RATE"),
        (["--scope", "ticks:read", "--rate", "foo=1/day"], "for --rate or --connections: expected one of"),
        (["--scope", "ticks:read", "--connections", "0"], "for --rate or --connections: "),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_makes_nothing(run, state, words, said):
    assert said in run("create", "a", *words, code=2).output
    assert stored(state) == []


def test_labels_that_would_play_tricks_are_refused(run):
    assert (
        "for LABEL: expected characters that print"
        in run("create", "a\x1b[2J", "--all-scopes", code=2).output
    )


def test_the_list_never_shows_a_key(run, state):
    text = run("create", "charts", "--scope", "ticks:read:NSE", "--network", "10.0.0.0/8").stdout.strip()
    (key,) = stored(state)
    head, line = run("list").stdout.splitlines()
    assert head.split() == ["id", "label", "status", "scopes", "networks", "made", "ends", "last", "used"]
    assert line.split()[:5] == [key.id, "charts", "active", "ticks:read:NSE", "10.0.0.0/8"]
    secret = text.rpartition("_")[2]
    for words in (["list"], ["list", "--all"], ["list", "--json"]):
        assert secret not in run(*words).output


def test_an_empty_list_says_what_to_do(run):
    assert run("list").stdout == "there are no keys; make one with tickerd keys create\n"
    assert json.loads(run("list", "--json").stdout) == {"keys": []}


def test_those_that_have_ended_are_listed_where_asked_for(run, state):
    run("create", "a", "--all-scopes")
    (key,) = stored(state)
    assert run("revoke", key.id).stdout == f"key {key.id} (a) is revoked\n"
    assert "there are no keys" in run("list").stdout
    assert "revoked" in run("list", "--all").stdout
    (shown,) = json.loads(run("list", "--all", "--json").stdout)["keys"]
    assert shown["status"] == "revoked"


def test_json_has_the_key_once(run, state):
    made = json.loads(run("create", "a", "--all-scopes", "--json").stdout)
    assert parse_key(made["key"]).id == made["id"] == stored(state)[0].id
    (listed,) = json.loads(run("list", "--json").stdout)["keys"]
    assert "key" not in listed
    assert "digest" not in listed
    assert json.loads(run("revoke", made["id"], "--json").stdout)["status"] == "revoked"


def test_rotation_prints_the_successor(run, state):
    old = parse_key(run("create", "a", "--all-scopes").stdout.strip())
    fresh = parse_key(run("rotate", f"tkd_live_{old.id}", "--overlap", "1h").stdout.strip())
    before, after = sorted(stored(state), key=lambda key: key.id != old.id)
    assert (before.successor, after.id) == (fresh.id, fresh.id)
    assert before.expires_ns == after.created_ns + 3600 * 10**9
    assert f"its successor is {fresh.id}" in run("rotate", old.id, code=1).output


def test_rotation_after_a_leak_ends_the_old_one(run, state):
    old = parse_key(run("create", "a", "--all-scopes").stdout.strip())
    run("rotate", old.id, "--overlap", "0")
    with tools.reading(state) as connection:
        assert store.get(connection, old.id).revoked_ns is not None


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_a_key_that_is_not_there_is_told(run, verb):
    assert run(verb, "a" * 12, code=1).output.endswith(f"Error: there is no key '{'a' * 12}'\n")


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_whole_keys_do_not_belong_on_a_command_line(run, verb):
    text = run("create", "a", "--all-scopes").stdout.strip()
    result = run(verb, text, code=2)
    assert "a whole key does not belong on a command line" in result.output
    assert text not in result.output


def test_each_change_is_in_the_audit_trail(run, state):
    old = parse_key(run("create", "a", "--all-scopes").stdout.strip())
    run("rotate", old.id)
    run("revoke", old.id)
    with tools.reading(state) as connection:
        trail = audit.page(connection)
    assert [one.what for one in trail] == ["keys.revoke", "keys.rotate", "keys.create"]
    assert {(one.who, one.origin) for one in trail} == {(f"uid {os.getuid()}", "cli")}


def test_the_state_directory_is_named_once(state):
    result = CliRunner().invoke(command, ["list", "--state", str(state), "-c", "x.yaml"])
    assert result.exit_code == 2
    assert "either -c FILE or --state DIR" in result.output


def test_the_file_can_name_it(state, tmp_path, monkeypatch):
    file = tmp_path / "tickerd.yaml"
    file.write_text(f"sources: {{demo: {{use: simulator}}}}\nstate: {{dir: '{state}'}}\n")
    result = CliRunner().invoke(command, ["list", "-c", str(file)])
    assert result.exit_code == 0, result.output
    assert "there are no keys" in result.stdout


def test_a_directory_without_a_state_file_is_told_and_left_as_it_is(tmp_path):
    for words in (["create", "a", "--all-scopes"], ["list"], ["revoke", "a" * 12]):
        result = CliRunner().invoke(command, [*words, "--state", str(tmp_path)])
        assert result.exit_code == 1
        assert "there is no such state file" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_pepper_that_cannot_be_used_makes_no_key(run, state):
    open_peppers(state)
    (state / "pepper").chmod(0o644)
    assert "others can read it" in run("create", "a", "--all-scopes", code=1).output
    assert stored(state) == []


def test_help_shows_how(run):
    result = CliRunner().invoke(command, ["--help"])
    assert "tickerd keys rotate" in result.output
