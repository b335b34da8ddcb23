"""Ten-line plugins, and helpers that compile a YAML text in a directory of its own."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest
import trio
from pydantic import field_validator

from tickerd.config import Compiled, ConfigError, PluginProblem, load
from tickerd.plugin import (
    Authenticator,
    Batch,
    Decision,
    Duration,
    Listen,
    Names,
    Options,
    RateLimiter,
    Reject,
    Secret,
    ServingContext,
    ServingSink,
    Sink,
    Size,
    Source,
    SourceContext,
    option,
)

BASE = "sources: {feed: {use: kite, api_key: k}}\nsinks: {out: {use: file, path: p}}\n"


class Login(Options):
    """A model inside the options."""

    user: str = option(doc="Who.")
    pin: Secret | None = option(None, doc="A secret further down.")


class Kite(Source):
    """A source."""

    class Options(Options):
        """Its options."""

        api_key: Secret = option(doc="A secret.")
        logins: tuple[Login, ...] = option((), doc="A list of models.")
        port: int = option(1, doc="A number.", gt=0)
        speed: float = option(1.0, doc="A number.")
        pause: Duration = option("1s", doc="A duration.", ge=0.5, le=7200)
        size: Size = option("1MiB", doc="A size.", lt=2**30)
        code: str = option("ab", doc="A text.", min_length=2, max_length=3, pattern="^[a-z]+$")
        either: int | bool | None = option(None, doc="One of several types.")
        table: dict[str, int] = option({}, doc="A table.")
        url: str = option("", doc="Checked by the plugin, which quotes what it was given.")

        @field_validator("url")
        @classmethod
        def _url(cls, url: str) -> str:
            if url == "crash":
                raise RuntimeError(url)
            if url and "://" not in url:
                raise ValueError(f"No scheme in {url!r}.")
            return url

    def __init__(self, options: Any) -> None: ...

    async def run(self, ctx: SourceContext, *, task_status: trio.TaskStatus[None]) -> None:
        """Nothing."""


class File(Sink):
    """A pushing sink."""

    class Options(Options):
        """Its options."""

        path: str = option(doc="A text.")
        keep: Duration | None = option(None, doc="A duration.", gt=0)

    def __init__(self, options: Any, ctx: Any) -> None: ...

    async def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Nothing."""
        return ()


class Web(ServingSink):
    """A serving sink."""

    class Options(Options):
        """No options."""

    def __init__(self, options: Any) -> None: ...

    async def run(self, ctx: ServingContext, *, task_status: trio.TaskStatus[None]) -> None:
        """Nothing."""


class Greedy(File):
    """Takes names that are not its to take."""

    class Options(Options):
        """Its options."""

        batch: int = option(1, doc="Reserved.")
        retry_: int = option(1, doc="Reserved under its alias.", alias="retry")


class Served(Web):
    """A serving sink that says where it listens."""

    class Options(Options):
        """Its options."""

        listen: Listen = option(doc="Where.")
        auth: Names = option((), doc="Who.")


class Keys(Authenticator):
    """Knows nobody."""

    class Options(Options):
        """Its options."""

        salt: Secret | None = option(None, doc="A secret.", reload="live")
        realm: str = option("here", doc="A text.", reload="unit")

    def __init__(self, options: Any, ctx: Any) -> None: ...

    async def check(self, request: Any) -> None:
        """Nobody."""


class Gcra(RateLimiter):
    """Allows everything."""

    class Options(Options):
        """Its options."""

        burst: int | None = option(None, doc="A number.", reload="live", ge=1)

    def __init__(self, options: Any) -> None: ...

    def hit(self, key: str, rate: Any, cost: int, now: float) -> Decision:
        """Yes."""
        return Decision(allowed=True, remaining=1, reset_s=0, retry_after_s=0)


class Types:
    """Stands in for the registry."""

    def __init__(self) -> None:
        self.sources = {"kite": Kite}
        self.sinks = {"file": File, "web": Web, "greedy": Greedy, "served": Served}
        self.authenticators = {"keys": Keys}
        self.rate_limiters = {"gcra": Gcra, "shared": Gcra}

    def source(self, name: str) -> type[Source]:
        return self._find(self.sources, name)

    def sink(self, name: str) -> type[Sink] | type[ServingSink]:
        return self._find(self.sinks, name)

    def authenticator(self, name: str) -> type[Authenticator]:
        return self._find(self.authenticators, name)

    def rate_limiter(self, name: str) -> type[RateLimiter]:
        return self._find(self.rate_limiters, name)

    def extension(self, name: str) -> None:
        self._find({"audit": None}, name)

    def names(self, kind: str) -> list[str]:
        return [*sorted(getattr(self, f"{kind}s")), "broken"]

    def _find(self, table: Mapping[str, Any], name: str) -> Any:
        if name not in table:
            raise PluginProblem(f"no plugin {name!r} is installed", get_close_matches(name, table))
        return table[name]


@pytest.fixture
def types() -> Types:
    """The plugins that are installed."""
    return Types()


@pytest.fixture
def base() -> str:
    """The smallest configuration without a warning."""
    return BASE


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a file below the working directory, which is empty at first, and return its relative path."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "t.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.fixture
def compiled(write: Callable[..., Path]) -> Callable[..., Compiled]:
    """Compile a text that has no problem."""

    def compiled(text: str, env: Mapping[str, str] | None = None, symbols: Any = None) -> Compiled:
        return load(write(text), Types(), env or {}, symbols)

    return compiled


@pytest.fixture
def problems(write: Callable[..., Path]) -> Callable[..., list[str]]:
    """Compile a text that cannot be used, and return what is shown for each problem."""

    def problems(text: str | bytes, env: Mapping[str, str] | None = None) -> list[str]:
        path = write(text)
        with pytest.raises(ConfigError) as caught:
            load(path, Types(), env or {})
        return [problem.text() for problem in caught.value.problems]

    return problems


@pytest.fixture
def heads(problems: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """The same without the source lines."""
    return lambda *args, **kwargs: [text.split("\n")[0] for text in problems(*args, **kwargs)]
