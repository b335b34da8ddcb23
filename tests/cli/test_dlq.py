"""`tickerd dlq`."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tickerd.cli.dlq import dlq
from tickerd.plugin import Instrument, Position
from tickerd.state import audit, deadletters, tools
from tickerd.state.connection import FILE
from tickerd.state.deadletters import Letter
from tickerd.state.store import Store

CONFIG = """
sources: {{sim: {{use: simulator}}}}
sinks: {{archive: {{use: file, path: out.jsonl}}}}
state: {{dir: {state}}}
"""


def letter(seq: int, sink: str = "archive", **fields: Any) -> Letter:
    plain: dict[str, Any] = {
        "sink": sink,
        "position": Position(3, seq),
        "instrument": Instrument("kite", 408065, "NSE", "INFY"),
        "reason": f"reason {seq}",
        "first_ns": 1767584700 * 10**9,
        "last_ns": 1767584760 * 10**9,
        "payload": b'{"last_price": 1500.05}',
        "response": b"422 no\xff",
    }
    return Letter(**plain | fields)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with five letters of one sink and one of another."""
    with closing(Store(tmp_path / FILE)) as store:
        store.open()
        letters = [letter(seq) for seq in range(1, 6)] + [letter(1, sink="other")]
        store.call("fast", lambda connection: deadletters.add(connection, letters))
    return tmp_path


@pytest.fixture
def run(state: Path) -> Callable[..., Result]:
    """Run it on that directory."""

    def run(*arguments: str, **how: Any) -> Result:
        return CliRunner().invoke(dlq, [*arguments, "--state", str(state)], **how)

    return run


@pytest.fixture
def ids(state: Path) -> Callable[[], list[int]]:
    def ids() -> list[int]:
        with tools.reading(state) as connection:
            return [line.id for line in deadletters.page(connection, "archive")]

    return ids


def test_ls_counts_by_sink(run):
    done = run("ls")
    assert done.exit_code == 0
    head, archive, other = done.stdout.splitlines()
    assert head.split() == ["sink", "letters", "bytes", "to", "redrive", "removed", "by", "caps"]
    assert archive.split()[:2] == ["archive", "5"]
    assert other.split()[:2] == ["other", "1"]


def test_ls_of_a_sink_goes_page_by_page(run):
    done = run("ls", "archive", "--limit", "2", "--after", "1")
    head, second, third, more = done.stdout.splitlines()
    assert head.split()[:3] == ["id", "position", "what"]
    assert second.split() == ["2", "3:2", "NSE:INFY", "1", *second.split()[4:6], "-", "reason", "2"]
    assert third.startswith("3 ")
    assert more == "there are more: --after 3"
    assert "there are more" not in run("ls", "archive", "--after", "3", "--limit", "2").stdout


def test_ls_as_json(run):
    data = json.loads(run("ls", "--json").stdout)
    assert [(one["sink"], one["letters"]) for one in data["sinks"]] == [("archive", 5), ("other", 1)]
    data = json.loads(run("ls", "archive", "--json", "--limit", "1").stdout)
    assert (data["sink"], data["more"], [one["id"] for one in data["letters"]]) == ("archive", True, [1])


def test_ls_says_when_there_is_nothing(run, ids):
    assert run("ls", "nobody").stdout == "no dead letters of 'nobody'\n"
    assert run("drop", "archive", "--all", "--yes").exit_code == 0
    assert ids() == []


def test_show_tells_everything(run):
    done = run("show", "archive", "2")
    assert done.exit_code == 0
    for words in ("NSE:INFY", "3:2", "reason 2", "422 no\\xff", '"last_price": 1500.05', "attempts"):
        assert words in done.stdout, words


def test_show_as_json(run):
    data = json.loads(run("show", "archive", "2", "--json").stdout)
    assert (data["id"], data["position"], data["payload"]) == (2, [3, 2], {"last_price": 1500.05})
    assert data["instrument"]["tradingsymbol"] == "INFY"
    assert data["response"] == "422 no\\xff"


@pytest.mark.parametrize(
    ("payload", "form", "shown"),
    [
        (b"\x81\xa1a\x01", "msgpack", {"a": 1}),
        (b"\x81\xa1b\xc4\x02hi", "msgpack", {"b": "aGk="}),
        (b"{broken", "json", "7b62726f6b656e"),
        (b"\xff\x00", "other", "ff00"),
        (None, "json", None),
    ],
)
def test_a_payload_is_shown_decoded_or_in_hex(run, state, payload, form, shown):
    with tools.writing(state) as connection:
        deadletters.add(connection, [letter(9, payload=payload, payload_form=form)])
    assert json.loads(run("show", "archive", "7", "--json").stdout)["payload"] == shown
    text = run("show", "archive", "7").stdout
    assert text.endswith("no payload was kept\n" if payload is None else json.dumps(shown, indent=2) + "\n")


def test_what_others_wrote_moves_no_cursor(run, state):
    bad = "\x1b[2J\x9b31m\nid  sink \u202e"
    with tools.writing(state) as connection:
        deadletters.add(
            connection,
            [
                letter(
                    9,
                    sink=bad,
                    reason=bad,
                    response=bad.encode(),
                    message_id=bad,
                    payload=json.dumps(bad).encode(),
                )
            ],
        )
    shown = [
        run("ls"),
        run("ls", bad),
        run("show", bad, "7"),
        run("show", bad, "7", "--json"),
        run("ls", bad, "--json"),
    ]
    for done in shown:
        assert done.exit_code == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.stdout)
    assert len(run("ls").stdout.splitlines()) == 4
    assert len(run("ls", bad).stdout.splitlines()) == 2


def test_a_long_reason_is_cut_in_lists_only(run, state):
    with tools.writing(state) as connection:
        deadletters.add(connection, [letter(9, reason="r" * 500)])
    assert "r" * 79 + "…\n" in run("ls", "archive").stdout
    assert "r" * 500 in run("show", "archive", "7").stdout


def test_show_of_a_letter_that_is_not_there_fails(run):
    for arguments in (("archive", "99"), ("other", "1")):
        done = run("show", *arguments)
        assert (done.exit_code, "no dead letter" in done.stderr) == (1, True)


def test_redrive_marks_letters_and_says_so_in_the_audit_trail(run, state):
    done = run("redrive", "archive", "2", "4-5", "4")
    assert (done.exit_code, done.stdout.partition(";")[0]) == (
        0,
        "3 dead letters of 'archive' will be offered again",
    )
    with tools.reading(state) as connection:
        assert [one.id for one in deadletters.take_redrives(connection, "archive")] == [2, 4, 5]
        (entry,) = audit.page(connection)
    assert (entry.what, entry.origin) == ("dlq.redrive", "cli")
    assert entry.after == {"sink": "archive", "ids": [[2, 2], [4, 5]], "letters": 3}
    assert run("ls", "archive").stdout.count("waiting") == 3
    assert json.loads(run("redrive", "archive", "--all", "--json").stdout) == {
        "sink": "archive",
        "marked": 2,
        "waiting": 5,
    }


def test_redrive_of_nothing_fails(run):
    assert run("redrive", "archive", "99").exit_code == 1
    assert run("redrive", "archive", "1").exit_code == 0
    done = run("redrive", "archive", "1")
    assert (done.exit_code, "not waiting already" in done.stderr) == (1, True)


def test_drop_asks_first(run, ids):
    done = run("drop", "archive", "1-2", input="n\n")
    assert done.exit_code == 1
    assert "delete 2 dead letters of 'archive' for good?" in done.stderr
    assert ids() == [1, 2, 3, 4, 5]
    done = run("drop", "archive", "1-2", input="y\n")
    assert done.exit_code == 0
    assert ids() == [3, 4, 5]


def test_drop_with_yes_is_in_the_audit_trail(run, state, ids):
    assert json.loads(run("drop", "archive", "5", "1", "--yes", "--json").stdout) == {
        "sink": "archive",
        "dropped": 2,
    }
    assert ids() == [2, 3, 4]
    with tools.reading(state) as connection:
        (entry,) = audit.page(connection)
    assert (entry.what, entry.after) == (
        "dlq.drop",
        {"sink": "archive", "ids": [[1, 1], [5, 5]], "letters": 2},
    )


def test_drop_of_all_spares_what_comes_while_it_asks(run, state, ids, monkeypatch):
    def confirm(*_: Any, **__: Any) -> None:
        with tools.writing(state) as connection:
            deadletters.add(connection, [letter(77)])

    monkeypatch.setattr("click.confirm", confirm)
    assert run("drop", "archive", "--all").exit_code == 0
    assert ids() == [7]


def test_drop_of_nothing_fails(run):
    assert run("drop", "archive", "99", "--yes").exit_code == 1
    assert run("drop", "nobody", "--all", "--yes").exit_code == 1


@pytest.mark.parametrize(
    "letters", [[], ["1", "--all"], ["x"], ["7-3"], ["1-"], ["-- -1"], ["٣"], ["1" * 30]]
)
def test_letters_that_make_no_sense_are_a_wrong_command_line(run, ids, letters):
    assert run("drop", "archive", "--yes", *letters).exit_code == 2
    assert len(ids()) == 5


def test_where_the_state_is_must_be_said_once(state):
    assert CliRunner().invoke(dlq, ["ls", "--state", str(state), "-c", "x.yaml"]).exit_code == 2


def test_the_state_directory_of_a_configuration(state, tmp_path):
    file = tmp_path / "tickerd.yaml"
    file.write_text(CONFIG.format(state=state))
    done = CliRunner().invoke(dlq, ["ls", "-c", str(file)])
    assert done.stdout.splitlines()[1].split()[:2] == ["archive", "5"]
    assert CliRunner().invoke(dlq, ["redrive", "archive", "1", "-c", str(file)]).exit_code == 0
    done = CliRunner().invoke(dlq, ["redrive", "other", "6", "-c", str(file)])
    assert (done.exit_code, "has no sink 'other' that could take them; it has archive" in done.stderr) == (
        1,
        True,
    )


def test_works_beside_a_daemon(run, state):
    with closing(Store(state / FILE)) as store:
        store.open()
        store.call("fast", lambda connection: deadletters.add(connection, [letter(70)]))
        assert "3:70" in run("ls", "archive").stdout
        assert run("redrive", "archive", "7").exit_code == 0
        assert [one.id for one in store.call("read", lambda c: deadletters.take_redrives(c, "archive"))] == [
            7
        ]


def test_without_a_state_file_it_says_what_is_wrong(tmp_path):
    done = CliRunner().invoke(dlq, ["ls", "--state", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert "has tickerd run with this directory?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "sink", ["'; DROP TABLE dead_letters; --", 'a" OR 1=1', "%", "\x1b[2J", "x" * 100_000]
)
def test_a_name_is_only_ever_a_name(run, ids, sink):
    for command in (["ls"], ["drop", "--all", "--yes"], ["redrive", "--all"], ["show", "1"]):
        done = run(command[0], sink, *command[1:])
        assert done.exception is None or isinstance(done.exception, SystemExit)
    assert len(ids()) == 5
