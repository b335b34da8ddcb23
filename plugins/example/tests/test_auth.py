"""The authenticator on a real file."""

from pathlib import Path

import pytest
from tickerd.plugin import Listener, Rejected, Request
from tickerd.testing import FakeAuthContext

from tickerd_example.auth import TokenFile, TokenOptions

LISTENER = Listener(address="127.0.0.1:7801", auth=("proxy",))


def request(**headers: str) -> Request:
    return Request(listener=LISTENER, headers={key.replace("_", "-"): text for key, text in headers.items()})


async def test_the_right_token_is_let_in_and_kept_out_of_logs(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    ctx = FakeAuthContext("proxy")
    token = TokenFile(TokenOptions(file=tmp_path / "token", scopes=("ticks:read:NSE",)), ctx)
    principal = await token.check(request(x_example_token="open sesame"))
    assert principal is not None
    assert (principal.id, principal.scopes, principal.instruments) == ("token proxy", {"ticks:read"}, {"NSE"})
    assert ctx.hidden == ["open sesame"]


async def test_a_wrong_token_is_rejected_and_none_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame")
    token = TokenFile(TokenOptions(file=tmp_path / "token"), FakeAuthContext())
    with pytest.raises(Rejected):
        await token.check(request(x_example_token="open"))
    assert await token.check(request()) is None


async def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")
    token = TokenFile(TokenOptions(file=tmp_path / "token"), FakeAuthContext())
    with pytest.raises(Rejected):
        await token.check(request(x_example_token=""))
