"""What a start refuses, in a real process: it says where and why, starts nothing, and destroys nothing."""

import hashlib
import shutil
import socket
import sqlite3
import subprocess
import sys

import pytest

CONFIG_ERROR, FAILED = 78, 1
END_S = 60
GOOD = """
sources: {good: {use: bad, how: well, after: 0}}
sinks:
  archive: {use: file, path: "ticks/{date}/all.jsonl"}
state: {dir: state}
journal: {min_free: 1MiB}
"""
KEYS = """
auth: {{keys: {{use: api_key}}}}
control: {{listen: ["unix:api.sock", "127.0.0.1:{port}"], auth: [keys]}}
"""


def refused(process, code, *words):
    assert process.end(END_S) == code
    text = process.log_file.read_text()
    assert all(word in text for word in words), text
    assert "Traceback" not in text
    return text


@pytest.mark.full
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("min_free", "min_fre"), ["tickerd.yaml:6", "journal.min_fre", "min_free"]),
        (("1MiB", "plenty"), ["tickerd.yaml:6", "journal.min_free"]),
        (("after: 0", "after: soon"), ["tickerd.yaml:2", "sources.good.after"]),
        (("dir: state", "dir: ${env:TICKERD_STAET}"), ["tickerd.yaml:5", "TICKERD_STAET"]),
        (("use: file", "use: flie"), ["tickerd.yaml:4", "sinks.archive.use", "file"]),
    ],
    ids=["unknown key", "wrong type", "wrong type of a plugin", "no such variable", "no such plugin"],
)
def test_a_wrong_file_is_refused_at_its_line(daemon, change, words):
    process = daemon(GOOD.replace(*change), TICKERD_STATE="state")
    refused(process, CONFIG_ERROR, *words)
    assert not (process.directory / "state").exists()
    assert not (process.directory / "ticks").exists()


@pytest.mark.full
def test_a_secret_that_everybody_can_read_is_told_with_what_to_do(daemon):
    process = daemon(GOOD, "--for", "0.1s")
    assert process.end(END_S) == 0
    token = process.directory / "token"
    token.write_text("s3cret\n")
    config = process.directory / "tickerd.yaml"
    config.write_text(
        GOOD.replace(
            "sources: {", f"sources: {{kite: {{use: kite, api_key: x, access_token: '${{file:{token}}}'}}, "
        )
    )

    def doctor():
        command = [sys.executable, "-m", "tickerd", "doctor", "-c", "tickerd.yaml"]
        return subprocess.run(
            command,
            cwd=process.directory,
            env=process.env,
            capture_output=True,
            text=True,
            timeout=END_S,
            check=False,
        ).stdout

    token.chmod(0o644)
    assert "everybody on this machine can reach it (mode 0644)" in doctor()
    token.chmod(0o600)
    assert "token: everybody" not in doctor()


@pytest.mark.full
def test_a_key_of_ours_that_everybody_can_read_stops_the_start(daemon):
    process = daemon(GOOD + KEYS.format(port=free_port()), "--for", "0.1s")
    assert process.end(END_S) == 0
    (pepper,) = (process.directory / "state").glob("*pepper*")
    kept = pepper.read_bytes()
    pepper.chmod(0o644)
    process.start()
    refused(process, FAILED, pepper.name)
    assert pepper.read_bytes() == kept
    pepper.chmod(0o600)
    process.start()
    assert process.end(END_S) == 0


@pytest.mark.full
def test_of_two_plugins_of_one_name_neither_is_used(daemon):
    process = daemon(GOOD, "--for", "0.1s")
    assert process.end(END_S) == 0
    site = process.directory / "site"
    shutil.copytree(site / "tickerd_bad-1.dist-info", site / "another_bad-1.dist-info")
    metadata = site / "another_bad-1.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("tickerd-bad", "another-bad"))
    process.start()
    refused(process, CONFIG_ERROR, "tickerd-bad", "another-bad")


@pytest.mark.full
@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("TICKERD_API = 0", "TICKERD_API = 7"), "7"),
        (("TICKERD_API = 0", ""), "TICKERD_API"),
        (("import os, time", "import os, time, no_such_module"), "no_such_module"),
    ],
    ids=["another version", "no version", "does not import"],
)
def test_a_plugin_that_cannot_be_used_is_refused_with_the_reason(daemon, change, word):
    process = daemon(GOOD, "--for", "0.1s")
    assert process.end(END_S) == 0
    plugin = process.directory / "site/tickerd_bad.py"
    plugin.write_text(plugin.read_text().replace(*change))
    process.start()
    refused(process, CONFIG_ERROR, "tickerd.yaml:2", word)


@pytest.fixture
def taken():
    """A port at which somebody listens already."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.mark.full
def test_a_control_port_that_is_taken_ends_the_start_and_is_named(daemon, taken):
    refused(daemon(GOOD + KEYS.format(port=taken)), FAILED, f"cannot listen on 127.0.0.1:{taken}")


@pytest.mark.full
@pytest.mark.parametrize("required", [True, False])
def test_a_port_of_a_sink_that_is_taken_is_named_and_only_a_required_sink_ends_the_start(
    daemon, taken, required
):
    need = ", required: true" if required else ""
    stream = f'  stream: {{use: websocket, listen: "127.0.0.1:{taken}", auth: [keys]{need}}}\nstate'
    process = daemon(GOOD.replace("state", stream, 1) + "auth: {keys: {use: api_key}}\n")
    if required:
        refused(process, FAILED, f"cannot listen on 127.0.0.1:{taken}", "required units did not come up")
        return
    process.wait_for("ready")
    line = process.wait_for("unit ended, will be restarted", unit="sink.stream")
    assert f"cannot listen on 127.0.0.1:{taken}" in line["reason"]
    process.wait_for("unit reports", unit="sink.archive", state="writing")
    process.signal()
    assert process.end(END_S) == 0
    assert len(process.rows()) > 0


PASSING = ("epoch", "lock", "tickerd.lock", "tickerd.db-shm", "tickerd.db-wal")
"""What each start counts or makes anew."""


def fingerprint(directory):
    files = [one for one in directory.rglob("*") if one.is_file() and one.name not in PASSING]
    return {str(one): hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


@pytest.mark.full
def test_a_state_of_a_newer_tickerd_is_refused_and_all_of_it_stays_as_it_is(daemon):
    process = daemon(GOOD, "--for", "0.5s")
    assert process.end(END_S) == 0
    state = process.directory / "state"
    file = state / "tickerd.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE of_the_future (what)")
        connection.execute("INSERT INTO of_the_future VALUES ('kept')")
        (now,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {now + 1}")
    connection.close()
    before = fingerprint(state)
    assert before
    process.start()
    refused(process, FAILED, "newer tickerd", "tickerd.db")
    assert fingerprint(state) == before
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE of_the_future")
        connection.execute(f"PRAGMA user_version = {now}")
    connection.close()
    process.start()
    assert process.end(END_S) == 0
    numbers = [(row["epoch"], row["seq"]) for row in process.rows()]
    assert len(numbers) == len(set(numbers))
    assert len({epoch for epoch, _ in numbers}) == 2
