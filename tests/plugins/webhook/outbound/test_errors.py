"""What outsiders learn: nothing, neither from the words nor from the time."""

import pytest
import trio

from tickerd_plugins.webhook.outbound import PUBLIC_TEXT, BadUrl, Policy, Poster, Unreachable, evenly


def test_every_failure_has_the_same_text():
    texts = {str(BadUrl("a")), str(Unreachable("dns", "b")), str(Unreachable("refused_by_policy", "c"))}
    assert texts == {PUBLIC_TEXT} == {BadUrl.public_text, Unreachable.public_text}
    assert "a" not in repr(BadUrl("xyz-detail")) or "xyz-detail" not in repr(BadUrl("xyz-detail"))
    assert "xyz-detail" not in repr(Unreachable("dns", "xyz-detail"))


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/", "https://denied.test/", "https://public.test/", "https://slow.test/"]
)
async def test_denied_refused_and_lost_take_the_same_time(net, url, mock_clock):
    mock_clock.autojump_threshold = 0.05  # a thread takes part
    resolver = net.Resolver(**{"denied.test": ["10.0.0.1"], "slow.test": "hangs"})
    poster = Poster(resolver=resolver, dialer=net.Dialer(), own=net.Own())
    began = trio.current_time()
    with pytest.raises((BadUrl, Unreachable)) as refused:
        async with evenly(15):
            await poster.post(Policy().parse(url), [], b"{}")
    assert trio.current_time() - began == pytest.approx(15)
    assert str(refused.value) == PUBLIC_TEXT


async def test_what_goes_well_and_bugs_are_not_held_up(autojump_clock):
    began = trio.current_time()
    async with evenly(15):
        pass
    with pytest.raises(KeyError):
        async with evenly(15):
            raise KeyError
    assert trio.current_time() == began
