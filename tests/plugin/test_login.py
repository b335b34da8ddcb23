"""The protocol of sources that a person logs in."""

from collections.abc import Mapping

from tickerd.plugin import LoggedIn, Login, LoginRefused


class Source:
    """One that does."""

    @property
    def expires(self) -> int | None:
        """See `Login`."""
        return None

    def url(self, state: str) -> str:
        """See `Login`."""
        return f"https://broker/?{state}"

    async def exchange(self, params: Mapping[str, str]) -> LoggedIn:
        """See `Login`."""
        raise LoginRefused("no")


def test_a_source_that_has_it_all_logs_in() -> None:
    login: Login = Source()
    assert isinstance(login, Login)
    assert not isinstance(object(), Login)


def test_a_login_says_who_and_until_when() -> None:
    assert LoggedIn("AB1234") == LoggedIn("AB1234", None)
    assert LoggedIn("AB1234", 5) != LoggedIn("AB1234", 6)
