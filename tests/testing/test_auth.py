"""The fakes for authenticators, and that the check of limiters catches limiters that are wrong."""

from collections import Counter

import pytest

from tickerd.plugin import Decision, Options, Principal, RateLimiter
from tickerd.testing import FakeAuthContext, check_rate_limiter


async def test_a_context_with_keys():
    ctx = FakeAuthContext("keys")
    ctx.keys.known["a"] = someone = Principal(id="a", scopes=frozenset())
    assert ctx.keys.verify("a", "10.0.0.1") is someone
    assert ctx.keys.verify("b") is None
    assert ctx.keys.asked == [("a", "10.0.0.1"), ("b", None)]
    ctx.hide("x")
    assert (ctx.name, ctx.hidden) == ("keys", ["x"])
    assert ctx.clock.now_ns() > 0


class Window(RateLimiter):
    """Fixed windows; each subclass has one mistake."""

    class Options(Options):
        pass

    def __init__(self, options=None):
        self.used = Counter()

    def window(self, now, rate):
        return now // rate.period_s

    def charge(self, allowed, cost):
        return cost if allowed else 0

    def wait(self, now, rate):
        return (now // rate.period_s + 1) * rate.period_s - now

    def key(self, key):
        return key

    def cost(self, cost, rate):
        return min(cost, rate.count)

    def hit(self, key, rate, cost, now):
        slot = self.key(key), self.window(now, rate)
        cost = self.cost(cost, rate)
        allowed = self.used[slot] + cost <= rate.count
        self.used[slot] += self.charge(allowed, cost)
        wait = 0 if allowed else self.wait(now, rate)
        return Decision(allowed, max(0, rate.count - self.used[slot]), wait, wait)


def test_a_right_one_passes():
    check_rate_limiter(Window)


class ChargesRefused(Window):
    def charge(self, allowed, cost):
        return cost

    def hit(self, key, rate, cost, now):
        said = super().hit(key, rate, cost, now)
        return said if said.allowed else said._replace(reset_s=float(self.used.total()))


class TellsTooShort(Window):
    def wait(self, now, rate):
        return super().wait(now, rate) / 2


class TellsTooLong(Window):
    def wait(self, now, rate):
        return super().wait(now, rate) * 2


class OneForAll(Window):
    def key(self, key):
        return ""


class NeverForgets(Window):
    def window(self, now, rate):
        return 0


class NeverMeets(Window):
    def cost(self, cost, rate):
        return cost


class AllowsAll(Window):
    def charge(self, allowed, cost):
        return 0


class ChargesQuestions(Window):
    def cost(self, cost, rate):
        return max(1, min(cost, rate.count))


WRONG = [
    ChargesRefused,
    TellsTooShort,
    TellsTooLong,
    OneForAll,
    NeverForgets,
    NeverMeets,
    AllowsAll,
    ChargesQuestions,
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_one_is_caught(wrong):
    with pytest.raises(AssertionError):
        check_rate_limiter(wrong)
