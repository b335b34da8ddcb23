"""Makes the sections ``auth``, ``rate_limits``, ``control`` and ``hooks``, and checks everything that listens."""

from collections.abc import Iterable, Iterator, Mapping

from tickerd.config.access import (
    AUTH_RESERVED,
    DEFAULT_LIMITER,
    LIMIT_RESERVED,
    AuthOptions,
    AuthSettings,
    ControlSettings,
    Fault,
    HooksSettings,
    RateLimitOptions,
    RateLimitSettings,
    access_faults,
    collisions,
    complete_limits,
    hooks_faults,
    listeners_in,
    serving_faults,
)
from tickerd.config.compile_units import Sections, values
from tickerd.config.nodes import child
from tickerd.config.plugin_types import PluginTypes
from tickerd.config.problem import Path, PluginProblem, closest, dotted
from tickerd.config.report import Report
from tickerd.config.settings import SinkSettings, SourceSettings
from tickerd.plugin import RATE_CLASSES

Units = Mapping[str, SourceSettings | SinkSettings]
OFF = ("off", False)
"""What stands for a section that is left out on purpose."""


class AccessCompiler:
    """Everything about who may connect where.

    Args:
        report: what is read from and told to.
        sections: makes the sections.
        types: the installed plugins.
    """

    def __init__(self, report: Report, sections: Sections, types: PluginTypes) -> None:
        self._report = report
        self._sections = sections
        self._types = types

    # -- authenticators and limits ---------------------------------------------------------------------

    def auth(self) -> dict[str, AuthSettings]:
        """The authenticators by name."""
        made = {name: self._authenticator(name) for name in self._sections.names("auth")}
        return {name: one for name, one in made.items() if one is not None}

    def _authenticator(self, name: str) -> AuthSettings | None:
        parts = self._sections.unit(("auth", name), AuthOptions, self._types.authenticator, AUTH_RESERVED)
        if parts is None:
            return None
        common, kind, options = parts
        return AuthSettings.model_construct(**values(common), name=name, type=kind, options=options)

    def rate_limits(self) -> dict[str, RateLimitSettings]:
        """Every route class; none where the bundled limiter cannot be used."""
        made = {name: self._rate_limit(name) for name in self._rate_classes()}
        try:
            limiter = self._types.rate_limiter(DEFAULT_LIMITER)
        except PluginProblem as problem:
            text = f"route classes that are left out cannot be limited: {problem.text}"
            self._report.problem(("rate_limits",), text)
            return {}
        return complete_limits({name: one for name, one in made.items() if one is not None}, limiter)

    def _rate_classes(self) -> Iterator[str]:
        for name in self._sections.keys("rate_limits"):
            if name in RATE_CLASSES:
                yield name
                continue
            self._sections.hide(("rate_limits", name), None)
            hint = closest(name, RATE_CLASSES) or f"there are {', '.join(RATE_CLASSES)}"
            self._report.problem(("rate_limits", name), "no such route class", hint, key=True)

    def _rate_limit(self, name: str) -> RateLimitSettings | None:
        path: Path = ("rate_limits", name)
        parts = self._sections.unit(
            path, RateLimitOptions, self._types.rate_limiter, LIMIT_RESERVED, DEFAULT_LIMITER
        )
        if parts is None:
            return None
        common, kind, options = parts
        rate = common.rate or RATE_CLASSES[name].rate
        return RateLimitSettings.model_construct(
            **{**values(common), "rate": rate}, name=name, type=kind, options=options
        )

    # -- listeners -------------------------------------------------------------------------------------

    def control(self) -> ControlSettings | None:
        """The control API; None when there is no section, or it says ``off``."""
        made = self._sections.plain("control", ControlSettings) if self._is_on("control") else None
        if made is not None:
            self._tell(("control",), access_faults(made, self._authenticators()))
        return made

    def hooks(self) -> HooksSettings | None:
        """The listener for the outside; None when there is no section, or it is empty or says ``off``."""
        is_on = self._is_on("hooks") and self._report.value(("hooks",)) is not None
        made = self._sections.plain("hooks", HooksSettings) if is_on else None
        if made is not None:
            self._tell(("hooks",), hooks_faults(made))
        return made

    def _is_on(self, section: str) -> bool:
        node = self._report.node((section,))
        return node is not None and self._report.value((section,)) not in OFF

    def serving(self, section: str, units: Units) -> None:
        """Check whatever listens among the plugins' own options."""
        for name, unit in units.items():
            self._tell((section, name), serving_faults(unit.options, self._authenticators()))

    def addresses(
        self, control: ControlSettings | None, hooks: HooksSettings | None, units: Mapping[str, Units]
    ) -> None:
        """Tell of addresses that two want to listen on."""
        found: list[tuple[Path, str]] = []
        if control is not None:
            found += [(("control", "listen", n), one.address) for n, one in enumerate(control.listen)]
        if hooks is not None:
            found.append((("hooks", "listen"), hooks.listen))
        for section, several in units.items():
            for name, unit in several.items():
                found += [((section, name, *path), e.address) for path, e in listeners_in(unit.options)]
        for later, earlier in collisions(found):
            text = "another listener has this address already"
            self._report.problem(
                self._written(later), text, f"it is that of {dotted(self._written(earlier))}"
            )

    def _authenticators(self) -> list[str]:
        """Names under ``auth``, those that cannot be used too: that is told there."""
        value = self._report.value(("auth",))
        return list(value) if isinstance(value, dict) else []

    def _tell(self, base: Path, faults: Iterable[Fault]) -> None:
        for fault in faults:
            self._report.problem(self._written((*base, *fault.path)), fault.text, fault.hint)

    def _written(self, path: Path) -> Path:
        """As much of a path as stands in the file: the rest is a default, or one address instead of a list."""
        node = self._report.node(())
        for n, part in enumerate(path):
            node = child(node, part)
            if node is None:
                return path[:n]
        return path
