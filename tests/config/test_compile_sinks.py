"""A sink's type has a say in the options that every sink has."""

import pytest

from tickerd.config.compile_sinks import adapted
from tickerd.config.settings import SinkOptions
from tickerd.plugin import OptionConflict, ServingSink, Sink


class Report:
    def __init__(self, section):
        self.section = section
        self.problems = []

    def value(self, path):
        assert path == ("sinks", "x")
        return self.section

    def problem(self, path, text, hint=""):
        self.problems.append((path, text, hint))


def made(common, **section):
    """What becomes of a section, and the problems told."""
    kind = type("Kind", (Sink,), {"common": classmethod(lambda cls, options, written: common(written))})
    report = Report({"use": "x", "own": 1, **section})
    found = adapted(report, ("sinks", "x"), SinkOptions(use="x"), kind, None)
    return found, report.problems


def test_it_sees_what_was_written_and_may_add_to_it():
    seen = []

    def common(written):
        seen.append(written)
        return {**written, "delivery": "live", "batch": {"max_wait": "1s"}}

    found, problems = made(common, buffer="1MiB")
    assert seen == [{"use": "x", "buffer": "1MiB"}]
    assert (found.delivery, found.batch.max_wait, found.buffer, problems) == ("live", 1.0, 2**20, [])


def test_a_conflict_is_told_at_its_place():
    def common(written):
        raise OptionConflict("batch.max_ticks", "too few", "leave it out")

    found, problems = made(common)
    assert found is None
    assert problems == [(("sinks", "x", "batch", "max_ticks"), "too few", "leave it out")]


@pytest.mark.parametrize("bad", [lambda written: {"use": "x", "buffer": "s3cret"}, lambda written: 1 / 0])
def test_a_mistake_of_the_plugin_is_told_as_that_and_without_its_text(bad):
    found, problems = made(bad)
    assert found is None
    ((path, text, hint),) = problems
    assert path == ("sinks", "x", "use")
    assert "s3cret" not in text
    assert hint == "this is a mistake in the plugin"


def test_a_sink_that_serves_clients_has_no_say():
    kind = type("Kind", (ServingSink,), {})
    own = SinkOptions(use="x")
    assert adapted(Report({}), ("sinks", "x"), own, kind, None) is own
