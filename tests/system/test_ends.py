"""How it ends: in good order with everything written, or killed and mended at the next start."""

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]
QUEUED = 10_000


def taken(lab):
    """What the sink has written so far; its last line may be half of one."""
    return lab("sh", "-c", "cat /var/lib/tickerd/taken || true")


def test_ten_thousand_records_that_wait_when_it_stops_are_all_written(tickerd, default_config, bad_plugin):
    """The sink comes back only after systemd's own limit: the daemon has asked for more time."""
    lab = tickerd.lab
    tickerd.drop_in(f"{bad_plugin}TimeoutStopSec=2s\n")
    sources = f"sources: {{bad: {{use: bad, count: {QUEUED}}}}}\n"
    sinks = 'sinks: {slow: {use: bad, delivery: live, gate: "/var/lib/tickerd/gate"}}\n'
    tickerd.configure(sources + sinks + "".join(default_config.partition("control:")[1:]))
    tickerd.start()
    tickerd.until("a full queue", lambda: tickerd.api("/v1/status")["picture"]["totals"]["ticks"] == QUEUED)
    lab("systemctl", "stop", "--no-block", "tickerd.service")
    tickerd.until_event("stopping")
    lab("sleep", "4")
    assert tickerd.show("SubState") == "stop-sigterm"
    assert tickerd.show("StatusText") == "draining"
    lab("runuser", "-u", "tickerd", "--", "touch", "/var/lib/tickerd/gate")
    tickerd.until("the end", lambda: tickerd.show("ActiveState") == "inactive")
    assert tickerd.show("Result") == "success"
    assert [int(volume) for volume in taken(lab).split()] == list(range(1, QUEUED + 1))
    tickerd.verify()


def test_what_a_durable_sink_has_not_taken_when_it_stops_it_takes_at_the_next_start(
    tickerd, default_config, bad_plugin
):
    lab = tickerd.lab
    tickerd.drop_in(bad_plugin)
    sources = f"sources: {{bad: {{use: bad, count: {QUEUED}}}}}\n"
    sinks = (
        'sinks: {slow: {use: bad, delivery: durable, gate: "/var/lib/tickerd/gate"}}\nlimits: {drain: 1s}\n'
    )
    tickerd.configure(sources + sinks + "".join(default_config.partition("control:")[1:]))
    tickerd.start()
    tickerd.until("a full queue", lambda: tickerd.api("/v1/status")["picture"]["totals"]["ticks"] == QUEUED)
    lab("systemctl", "stop", "tickerd.service")
    assert lab.try_("test", "-e", "/var/lib/tickerd/taken").returncode == 1
    lab("runuser", "-u", "tickerd", "--", "touch", "/var/lib/tickerd/gate")
    tickerd.configure(
        sinks + "sources: {bad: {use: bad}}\n" + "".join(default_config.partition("control:")[1:])
    )
    tickerd.start()
    tickerd.until("all of them", lambda: taken(lab).endswith(f"{QUEUED}\n"))
    assert [int(volume) for volume in taken(lab).split()] == list(range(1, QUEUED + 1))


@pytest.mark.parametrize("whom", ["main", "all"])
def test_after_a_sigkill_it_is_back_and_nothing_that_was_recorded_is_lost(tickerd, kite_config, whom):
    tickerd.simulate("--rate", "2000")
    tickerd.configure(kite_config)
    tickerd.start()
    tickerd.until_ticks(1000)
    tickerd.lab("systemctl", "kill", f"--kill-who={whom}", "-s", "KILL", "tickerd")
    tickerd.until_event("ready", times=2, seconds=30)
    tickerd.until_ticks(1000)
    tickerd.lab("systemctl", "stop", "tickerd.service")
    assert tickerd.show("NRestarts") == "1"
    tickerd.verify()
    ticks, records = tickerd.rows()
    positions = [(row["epoch"], row["seq"]) for row in ticks]
    assert {epoch for epoch, _ in positions} == {1, 2}
    assert len(positions) == len(set(positions))
    gaps = [row["reason"] for row in records if row["record"] == "gap"]
    assert gaps.count("restart") == 1, gaps


def test_a_second_signal_ends_it_at_once_and_is_no_failure(tickerd, default_config, bad_plugin):
    tickerd.drop_in(bad_plugin)
    sources = "sources: {bad: {use: bad, count: 5}}\n"
    sinks = 'sinks: {slow: {use: bad, delivery: live, gate: "/var/lib/tickerd/never"}}\n'
    tickerd.configure(sources + sinks + "".join(default_config.partition("control:")[1:]))
    tickerd.start()
    tickerd.until("ticks", lambda: tickerd.api("/v1/status")["picture"]["totals"]["ticks"] == 5)
    tickerd.lab("systemctl", "stop", "--no-block", "tickerd.service")
    tickerd.until_event("stopping")
    tickerd.lab("systemctl", "kill", "--kill-who=main", "-s", "TERM", "tickerd")
    tickerd.until("the end", lambda: tickerd.show("ActiveState") == "inactive", seconds=5)
    assert (tickerd.show("ExecMainStatus"), tickerd.show("Result")) == ("143", "success")
