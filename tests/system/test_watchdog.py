"""Code that does not return: named, its stack shown, the daemon restarted, the journal whole."""

import pytest

pytestmark = [pytest.mark.full, pytest.mark.root]


def frozen(option):
    """A source that freezes the daemon at its first start, beside the one of the default configuration."""
    return f"sources: {{bad: {{use: bad, {option}}}, "


def runs_again(tickerd):
    """Systemd has started it anew, ticks come, and nothing that was recorded is damaged."""
    tickerd.until_event("ready", times=2, seconds=40)
    assert tickerd.show("NRestarts") == "1"
    tickerd.until_ticks(20)
    assert tickerd.api("/v1/status")["picture"]["epoch"] == 2
    tickerd.verify()


def test_a_plugin_that_blocks_the_loop_is_named_and_the_daemon_restarted(tickerd, default_config, bad_plugin):
    tickerd.drop_in(bad_plugin)
    tickerd.configure(default_config.replace("sources: {", frozen("block: 600")))
    tickerd.start()
    told = tickerd.until_event("event loop blocked")
    assert told["unit"] == "source.bad"
    assert "stand_still" in told["where"]
    assert any("stand_still" in line["stack"] for line in tickerd.log("stack of a thread"))
    ended = tickerd.until_event("event loop blocked for too long, ending the process")
    assert ended["unit"] == "source.bad"
    tickerd.until("exit 70", lambda: "status=70/SOFTWARE" in tickerd.text())
    runs_again(tickerd)


def test_one_that_holds_the_interpreter_is_ended_by_systemd_with_its_stack(
    tickerd, default_config, bad_plugin
):
    """No thread of ours can run then, so neither can our own watchdog."""
    tickerd.drop_in(f"{bad_plugin}WatchdogSec=4s\n")
    tickerd.configure(default_config.replace("sources: {", frozen("hold: 600")))
    tickerd.start()
    tickerd.until("the watchdog", lambda: "Watchdog timeout" in tickerd.text())
    tickerd.until("SIGABRT", lambda: "Fatal Python error: Aborted" in tickerd.text())
    stack = tickerd.text().partition("Fatal Python error: Aborted")[2]
    assert "tickerd_bad.py" in stack
    assert "hold_the_interpreter" in stack
    runs_again(tickerd)
    assert "Failed with result 'watchdog'" in tickerd.text()


def test_a_process_that_was_stopped_for_a_while_goes_on(tickerd, kite_config):
    """SIGSTOP and SIGCONT within the watchdog's time: the outage is declared, nothing is restarted."""
    tickerd.simulate()
    tickerd.configure(
        kite_config.replace("mode: full}]", "mode: full}]\n    stale_after: 1s\n    reconnect_after: 3s")
    )
    tickerd.start()
    tickerd.until_ticks(20)
    tickerd.lab("systemctl", "kill", "-s", "STOP", "tickerd")
    tickerd.lab("sleep", "5")
    tickerd.lab("systemctl", "kill", "-s", "CONT", "tickerd")
    assert tickerd.until_event("process stood still")["seconds"] >= 4
    tickerd.until_ticks(20)
    assert tickerd.show("NRestarts") == "0"
    tickerd.verify()


def test_signs_of_life_come_only_while_the_loop_lives(tickerd):
    """With a limit of twice the pulse and more it runs on and on."""
    tickerd.drop_in("[Service]\nWatchdogSec=2s\n")
    tickerd.start()
    tickerd.lab("sleep", "5")
    assert tickerd.show("NRestarts") == "0"
    assert tickerd.show("ActiveState") == "active"
