"""A message that comes over several connections is told once."""

from tickerd_plugins.kite.echoes import KEEP_S, MOST, Echoes


def test_what_another_connection_has_brought_is_an_echo():
    echoes = Echoes()
    assert not echoes.is_echo("a", 0, 0)
    assert echoes.is_echo("a", 1, 0.1)
    assert echoes.is_echo("a", 2, 0.2)


def test_the_same_again_is_news():
    echoes = Echoes()
    for connection, echo in [(0, False), (0, False), (1, True), (1, True), (1, False), (2, True)]:
        assert echoes.is_echo("a", connection, 0) is echo


def test_a_connection_that_was_down_misses_nothing():
    echoes = Echoes()
    echoes.is_echo("a", 0, 0)
    assert not echoes.is_echo("b", 1, 1)
    assert echoes.is_echo("b", 0, 1)


def test_what_is_old_or_too_much_is_forgotten():
    echoes = Echoes()
    echoes.is_echo("a", 0, 0)
    assert not echoes.is_echo("a", 1, KEEP_S + 1)
    for number in range(MOST + 50):
        echoes.is_echo(number, 0, KEEP_S + 2)
    assert len(echoes) <= MOST + 1
