"""`systemctl reload` says yes or no, and what has not changed runs on."""

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]


def reload(tickerd):
    """What `systemctl reload` exits with; afterwards systemd does not wait for anything any more."""
    done = tickerd.lab.try_("systemctl", "reload", "tickerd")
    assert (tickerd.show("ActiveState"), tickerd.show("SubState")) == ("active", "running")
    return done.returncode


def test_one_changed_sink_restarts_that_sink_and_the_upstream_connection_stays(tickerd, kite_config):
    tickerd.simulate("--rate", "200")
    tickerd.configure(kite_config)
    tickerd.start()
    tickerd.until_ticks()
    pid, connections = tickerd.pid, tickerd.simulator()["connections"]
    number = [one["connection"] for one in connections]
    assert len(number) == 1
    tickerd.configure(kite_config.replace("{exchange}.jsonl", "{exchange}-new.jsonl"))
    assert reload(tickerd) == 0
    (verdict,) = tickerd.log("reload")
    assert verdict["verdict"].startswith("restarted sink.archive; kept 1 unit")
    tickerd.until_ticks(100)
    assert [one["connection"] for one in tickerd.simulator()["connections"]] == number
    assert tickerd.pid == pid
    tickerd.lab("systemctl", "stop", "tickerd.service")
    tickerd.verify()
    ticks, records = tickerd.rows()
    seen = [(row["epoch"], row["seq"]) for row in ticks + records]
    assert sorted(seen) == [(1, seq) for seq in range(1, len(seen) + 1)]


BAD = {
    "simulatr": ("use: simulator", "use: simulatr"),
    "sinks.archive.pth": ("path: ", "pth: "),
    "sinks.archive.path": ("{exchange}.jsonl", "../../{exchange}.jsonl"),
    "tickerd.yaml:": ("sinks:", "sinks: ["),
}
"""What the journal says, and the change that makes it say so."""


def test_a_bad_file_is_refused_with_the_reason_and_everything_runs_on(tickerd, default_config):
    tickerd.start()
    tickerd.until_ticks()
    pid = tickerd.pid
    for reason, change in BAD.items():
        tickerd.configure(default_config.replace(*change))
        assert reload(tickerd) != 0
        assert any(one["PRIORITY"] == "3" and reason in one["MESSAGE"] for one in tickerd.entries())
        assert tickerd.pid == pid
        tickerd.until_ticks(20)
    tickerd.configure(default_config)
    assert reload(tickerd) == 0


def test_a_port_that_is_taken_is_refused_and_everything_runs_on(tickerd, default_config):
    tickerd.start()
    tickerd.until_ticks()
    other = "import socket, time; made = socket.create_server(('127.0.0.1', 7899)); time.sleep(600)"
    tickerd.lab("systemd-run", "--quiet", "--unit=other", "--collect", "/usr/bin/python3", "-c", other)
    tickerd.until("other", lambda: ":7899" in tickerd.lab("ss", "-tln"))
    stream = 'auth: {keys: {use: api_key}}\nsinks: {stream: {use: websocket, listen: "127.0.0.1:7899", auth: [keys]}, '
    tickerd.configure(default_config.replace("sinks: {", stream))
    try:
        assert reload(tickerd) != 0
        assert "127.0.0.1:7899" in tickerd.log("reload")[-1]["verdict"]
        tickerd.until_ticks(20)
        tickerd.lab("systemctl", "stop", "other")
        assert reload(tickerd) == 0
    finally:
        tickerd.lab.try_("systemctl", "stop", "other")


def test_a_unit_that_does_not_come_up_is_refused_and_everything_runs_on(tickerd, default_config, bad_plugin):
    tickerd.drop_in(bad_plugin)
    config = default_config + "limits: {start_deadline: 1s}\n"
    tickerd.configure(config)
    tickerd.start()
    tickerd.until_ticks()
    tickerd.configure(config.replace("sources: {", "sources: {never: {use: bad, never: true}, "))
    assert reload(tickerd) != 0
    verdict = tickerd.log("reload")[-1]
    assert not verdict["applied"]
    assert "source.never" in verdict["verdict"]
    tickerd.until_ticks(20)
    assert [one["name"] for one in tickerd.api("/v1/sources")["items"]] == ["demo"]


def test_it_does_so_again_and_again(tickerd, default_config):
    tickerd.start()
    for number in range(5):
        tickerd.configure(default_config.replace("NSE:TCS", "NSE:SBIN" if number % 2 else "NSE:TCS"))
        assert reload(tickerd) == 0
    assert len(tickerd.log("reload")) == 5
    tickerd.until_ticks()


def test_only_root_and_the_group_may(tickerd):
    tickerd.start()
    group = tickerd.lab("getent", "group", "tickerd-api").split(":")[2]
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "tickerd", "reload")
    refused = tickerd.lab.try_(*nobody)
    assert refused.returncode == 1
    assert "you may not open unix:/run/tickerd.sock: its group may" in refused.stderr
    member = ("setpriv", "--reuid", "65534", "--regid", "65534", "--groups", group, "tickerd", "reload")
    assert "generation" in tickerd.lab(*member)


def test_sighup_reloads_too_and_its_verdict_is_in_the_journal(tickerd, default_config):
    tickerd.start()
    tickerd.configure(default_config.replace("rate: 100", "rate: 200"))
    tickerd.lab("systemctl", "kill", "-s", "HUP", "tickerd")
    assert tickerd.until_event("reload")["applied"]
    assert tickerd.show("SubState") == "running"
