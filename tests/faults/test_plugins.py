"""Plugins that crash, hang, block, or will not stop, in a real daemon process, beside ones that behave."""

import signal

import pytest

SINKS = """
sinks:
  archive: {use: file, path: "ticks/{date}/all.jsonl", batch: {max_wait: 20ms}}
"""
STATE = "state: {dir: state}\n"


def sources(text):
    return f"sources:\n  good: {{use: bad, how: well, after: 0}}\n{text}\n{SINKS}{STATE}"


def assert_numbers_are_whole(rows):
    numbers = sorted(row["volume_traded"] for row in rows if row.get("source") == "good")
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


def test_a_source_that_crashes_fails_alone(daemon):
    process = daemon(sources("  bad: {use: bad, how: crash, after: 0}"))
    line = process.wait_for("unit ended, will be restarted", unit="source.bad")
    assert line["reason"] == "ZeroDivisionError: boom"
    process.wait_for("unit failed and stays down until a reload", unit="source.bad")
    process.signal()
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


@pytest.mark.full
def test_a_source_that_does_not_start_holds_nobody_up(daemon):
    yaml = sources("  bad: {use: bad, how: hang}") + "limits: {start_deadline: 500ms}\n"
    process = daemon(yaml)
    process.wait_for("ready")
    line = process.wait_for("unit ended, will be restarted", unit="source.bad")
    assert line["reason"] == "did not start within 0.5 s"
    process.signal()
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


def test_a_source_that_publishes_garbage_fails_alone(daemon):
    process = daemon(sources("  bad: {use: bad, how: garbage, after: 0}"))
    process.wait_for("unit ended, will be restarted", unit="source.bad")
    process.signal()
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


def test_a_source_that_blocks_the_loop_is_named_and_nothing_is_lost(daemon):
    process = daemon(sources("  bad: {use: bad, how: block, seconds: 3}"))
    line = process.wait_for("event loop blocked")
    assert line["unit"] == "source.bad"
    assert "tickerd_bad.py" in line["where"]
    process.wait_for("event loop goes on", unit="source.bad")
    process.signal()
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


@pytest.mark.full
def test_a_loop_that_is_blocked_for_good_ends_the_process(daemon):
    process = daemon(sources("  bad: {use: bad, how: block, seconds: 60}"))
    assert process.end(30) == 70
    assert process.wait_for("event loop blocked for too long, ending the process")["unit"] == "source.bad"


def test_a_source_that_will_not_stop_is_left_behind(daemon):
    yaml = sources("  bad: {use: bad, how: swallow, after: 0}") + "limits: {stop_deadline: 300ms}\n"
    process = daemon(yaml)
    process.wait_for("ready")
    process.signal()
    assert process.end() == 0
    process.wait_for("unit is stuck", unit="source.bad")
    assert_numbers_are_whole(process.rows())


def test_a_sink_that_hangs_delays_nobody_and_its_ticks_are_counted(daemon):
    yaml = """
    sources: {good: {use: bad, how: well, after: 0}}
    sinks:
      archive: {use: file, path: "ticks/{date}/all.jsonl", batch: {max_wait: 20ms}}
      hung: {use: bad, how: hang, delivery: live}
    state: {dir: state}
    limits: {drain: 500ms}
    """
    process = daemon(yaml, "--for", "1s", "--status-line")
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())
    text = process.log_file.read_text()
    assert "hung     wrote 0, dropped " in text
    assert "hung     wrote 0, dropped 0" not in text


@pytest.mark.parametrize("how", ["crash", "garbage"])
def test_a_sink_with_a_bug_fails_alone(daemon, how):
    yaml = f"""
    sources: {{good: {{use: bad, how: well, after: 0}}}}
    sinks:
      archive: {{use: file, path: "ticks/{{date}}/all.jsonl", batch: {{max_wait: 20ms}}}}
      broken: {{use: bad, how: {how}, batch: {{max_wait: 10ms}}}}
    state: {{dir: state}}
    """
    process = daemon(yaml)
    process.wait_for("unit ended, will be restarted", unit="sink.broken")
    process.signal()
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


@pytest.mark.full
def test_a_required_unit_that_does_not_come_up_ends_the_daemon(daemon):
    yaml = sources("  bad: {use: bad, how: hang, required: true}") + "limits: {start_deadline: 200ms}\n"
    process = daemon(yaml)
    assert process.end() == 1
    process.wait_for("required units did not come up", units=["source.bad"])


def test_interrupt_drains_and_ends_with_0(daemon):
    process = daemon(sources(""))
    process.wait_for("ready")
    process.signal(signal.SIGINT)
    assert process.end() == 0
    assert_numbers_are_whole(process.rows())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_ends_it_at_once(daemon, number, code):
    yaml = """
    sources: {good: {use: bad, how: well, after: 0}}
    sinks: {hung: {use: bad, how: hang}}
    state: {dir: state}
    """
    process = daemon(yaml)
    process.wait_for("ready")
    process.signal(number)
    process.wait_for("stopping")
    process.signal(number)
    assert process.end(5) == code


def test_hangup_is_no_reason_to_die(daemon):
    process = daemon(sources(""))
    process.wait_for("ready")
    process.signal(signal.SIGHUP)
    process.wait_for("reload", applied=True)
    process.signal()
    assert process.end() == 0


def test_a_second_daemon_on_the_same_state_directory_is_refused(daemon):
    first = daemon(sources(""))
    first.wait_for("ready")
    second = daemon(sources("").replace("dir: state", f"dir: {first.directory}/state"))
    assert second.end() == 1
    assert "another tickerd" in second.log_file.read_text()
