"""Secrets in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.observe.redact import Redactor


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "wss://ws.kite.trade?api_key=abc&access_token=Zz-1",
            "wss://ws.kite.trade?api_key=***&access_token=***",
        ),
        ("/callback?request_token=r1&action=login", "/callback?request_token=***&action=login"),
        ("{'access_token': 'abc', 'user': 'AB12'}", "{'access_token': '***', 'user': 'AB12'}"),
        ('{"api_secret":"abc"}', '{"api_secret":"***"}'),
        ('{\\"api_secret\\": \\"abc\\"}', '{\\"api_secret\\": \\"***\\"}'),
        ("Authorization: token key:tok and more", "Authorization: ***"),
        ("{'Authorization': 'token key:tok', 'a': 'b'}", "{'Authorization': '***', 'a': 'b'}"),
        (
            "[(b'authorization', b'token k:t'), (b'host', b'x')]",
            "[(b'authorization', b'***'), (b'host', b'x')]",
        ),
        ("Login(password=hunter2, user=a)", "Login(password=***, user=a)"),
        ("key tkd_live_AbC-9 refused", "key tkd_*** refused"),
        ("Cookie: a=b; c=d\r\nHost: x", "Cookie: ***\r\nHost: x"),
        ("the api_key is wrong", "the api_key is wrong"),
        ("nothing to see", "nothing to see"),
    ],
)
def test_what_looks_like_a_credential_is_hidden(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


def test_redacting_twice_changes_nothing_more() -> None:
    redactor = Redactor()
    once = redactor("Authorization: token a:b ?access_token=abc tkd_x")
    assert redactor(once) == once


@pytest.mark.parametrize(
    "text",
    ["p@ss wörd/1", "p%40ss%20w%C3%B6rd%2F1", "p%40ss+w%C3%B6rd%2F1", "'p@ss w\\xf6rd/1'", "xp@ss wörd/1x"],
)
def test_a_known_secret_is_hidden_in_every_form(text: str) -> None:
    redactor = Redactor()
    redactor.add("p@ss wörd/1")
    assert "***" in redactor(text)
    assert "rd" not in redactor(text)


def test_lines_of_a_longer_secret_are_hidden_each() -> None:
    redactor = Redactor()
    redactor.add("-----BEGIN KEY-----\nMIIBOgIBAAJBAK\nab\n-----END KEY-----\n")
    assert redactor("x MIIBOgIBAAJBAK y ab") == "x *** y ab"


def test_short_values_are_left_alone() -> None:
    redactor = Redactor()
    redactor.add("abc")
    redactor.add("")
    assert redactor("abc abc") == "abc abc"
    assert redactor.longest == 0


def test_the_longer_of_two_secrets_wins() -> None:
    redactor = Redactor()
    for secret in ("abcd", "abcdefgh", "abcd"):
        redactor.add(secret)
    assert redactor("abcdefgh abcd") == "*** ***"


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(secret)
    shown = redactor(before + secret + after)
    assert secret not in shown.replace("***", "\0") or secret in "***\0"
