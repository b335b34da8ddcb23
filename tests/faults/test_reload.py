"""Reloads of a running process: under load, of a bad file, twice at once, while it stops, and again and again."""

import http.client
import json
import signal
import socket
import threading
import time

import pytest

from tickerd_plugins.simulator import read_numbered

YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: {tokens}}}]
sinks:
  archive: {{use: file, path: "ticks/{{date}}/{{exchange}}.jsonl"{archive}}}
  extra: {{use: file, path: "extra/{{date}}.jsonl"{extra}}}
state: {{dir: state}}
control: {{listen: "unix:{socket}"}}
limits: {{start_deadline: 2s}}
journal: {{min_free: 1MiB}}
"""


def tokens(rest, count):
    from urllib.request import urlopen

    with urlopen(f"{rest}/instruments") as answer:
        lines = answer.read().decode().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines if ",NSE,NSE" in line][:count]


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Reloading:
    """A daemon whose file changes under it."""

    def __init__(self, daemon, at, count, tmp_path):
        self.values = {**at, "archive": "", "extra": "", "socket": f"{tmp_path}/api.sock"}
        self.tokens = tokens(at["rest"], count)
        self.process = daemon(self.text())
        self.process.wait_for("ready")

    def text(self):
        return YAML.format(**self.values, tokens=json.dumps(self.tokens))

    def write(self, text=None, **values):
        self.values |= values
        (self.process.directory / "tickerd.yaml").write_text(self.text() if text is None else text)

    def reload(self, text=None, **values):
        """Write the file, have it read, and give the verdict."""
        self.write(text, **values)
        return self.post()

    def post(self):
        connection = Connection(self.values["socket"])
        connection.request("POST", "/v1/reload")
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def stop(self):
        self.process.signal()
        assert self.process.end(30) == 0


def nothing_is_missing_or_twice(process, log, folder="ticks"):
    rows = [
        json.loads(line)
        for file in process.directory.glob(f"{folder}/**/*.jsonl")
        for line in file.read_text().splitlines()
    ]
    ticks = [row for row in rows if "record" not in row]
    numbers = [row["volume_traded"] for row in ticks if "snapshot" not in row["flags"]]
    assert len(numbers) == len(set(numbers)), "a number stands twice in the files"
    seen = {row["volume_traded"] for row in ticks}
    low, high = min(seen), max(seen)
    sent = {n for frame in read_numbered(log) for n, _ in frame.numbers() if low <= n <= high}
    assert not sent - seen, f"{len(sent - seen)} numbers are missing"
    assert len({row["connection"] for row in ticks}) == 1
    return len(seen)


def hammer(daemon, simulator, tmp_path, rate, times):
    log = tmp_path / "numbers"
    reloading = Reloading(daemon, simulator("--rate", str(rate), "--numbered", str(log)), 200, tmp_path)
    more = tokens(reloading.values["rest"], 230)
    for turn in range(times):
        reloading.tokens = more[: 200 + turn % 30]
        archive = f", batch: {{max_wait: {50 + turn % 2 * 50}ms}}"
        verdict = reloading.reload(archive=archive)
        assert verdict["applied"], verdict
    assert sum(line["event"] == "connected" for line in reloading.process.log()) == 1
    reloading.stop()
    return reloading, log


@pytest.mark.full
def test_reloads_under_load_lose_and_repeat_nothing_and_keep_the_connection(daemon, simulator, tmp_path):
    reloading, log = hammer(daemon, simulator, tmp_path, 2000, 8)
    assert nothing_is_missing_or_twice(reloading.process, log) > 1000


@pytest.mark.full
def test_a_hundred_reloads_under_load_lose_and_repeat_nothing_and_leak_nothing(daemon, simulator, tmp_path):
    reloading, log = hammer(daemon, simulator, tmp_path, 3000, 100)
    assert nothing_is_missing_or_twice(reloading.process, log) > 10_000


def test_a_bad_file_is_refused_with_the_place_and_everything_runs_on(daemon, simulator, tmp_path):
    log = tmp_path / "numbers"
    reloading = Reloading(daemon, simulator("--rate", "1000", "--numbered", str(log)), 50, tmp_path)
    verdict = reloading.reload(reloading.text().replace("use: file", "use: flie", 1))
    assert verdict["status"] == 422
    assert "tickerd.yaml:11:18: sinks.archive.use" in verdict["detail"]
    assert reloading.reload(reloading.text() + "nonsense: [")["status"] == 422
    reloading.write(reloading.text() + "more: nonsense")
    reloading.process.signal(signal.SIGHUP)
    end = time.monotonic() + 10
    while "more: unknown key" not in reloading.process.log_file.read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    verdict = reloading.reload(extra=", buffer: 1MiB")
    assert (verdict["applied"], verdict["generation"]) == (True, 2)
    reloading.stop()
    assert nothing_is_missing_or_twice(reloading.process, log) > 100


def test_a_unit_that_does_not_come_up_is_a_refusal_and_the_old_ones_run_on(daemon, simulator, tmp_path):
    log = tmp_path / "numbers"
    reloading = Reloading(daemon, simulator("--rate", "1000", "--numbered", str(log)), 50, tmp_path)
    text = reloading.text().replace("buffer: 1MiB", "buffer: 2MiB")
    verdict = reloading.reload(text.replace("sinks:\n", "  hanging: {use: bad, how: hang}\nsinks:\n"))
    assert not verdict.get("applied")
    assert "source.hanging does not come up: did not start within 2 s" in verdict["detail"]
    assert "everything runs on as before" in verdict["detail"]
    reloading.stop()
    assert nothing_is_missing_or_twice(reloading.process, log) > 100
    assert nothing_is_missing_or_twice(reloading.process, log, "extra") > 100


def test_two_reloads_at_once_and_one_while_it_stops_do_no_harm(daemon, simulator, tmp_path):
    reloading = Reloading(daemon, simulator("--rate", "1000"), 50, tmp_path)
    reloading.write(extra=", buffer: 1MiB")
    verdicts = []
    threads = [threading.Thread(target=lambda: verdicts.append(reloading.post())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdict["generation"] for verdict in verdicts) == [2, 3, 4]
    reloading.process.signal()
    reloading.process.signal(signal.SIGHUP)
    assert reloading.process.end(30) == 0
