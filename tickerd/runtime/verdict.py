"""What a reload came to: told on the command line, over the API, in the log and in the status."""

from dataclasses import dataclass
from typing import Any

from tickerd.runtime.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Either everything of a plan is in force, or nothing of it is and ``errors`` says why."""

    applied: bool
    generation: int
    """Of the configuration in force now: 1 at the start, one more with each reload that was applied."""
    restarted: tuple[str, ...] = ()
    """Units, such as ``sink.archive``; so in the other lists."""
    changed: tuple[str, ...] = ()
    """Went on running with new options."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """Options outside of units that are in force now."""
    needs_restart: tuple[str, ...] = ()
    """Options that stay as they were until tickerd is restarted."""
    errors: tuple[str, ...] = ()
    """Why nothing was changed."""
    seconds: float = 0.0

    def text(self) -> str:
        """One sentence."""
        if not self.applied:
            return f"refused, everything runs on as before: {'; '.join(self.errors)}"
        parts = [
            f"{verb} {' '.join(names)}"
            for verb in ("restarted", "changed", "added", "removed")
            if (names := getattr(self, verb))
        ]
        parts += [f"applied {' '.join(self.settings)}"] if self.settings else []
        parts += [f"kept {len(self.kept)} unit{'' if len(self.kept) == 1 else 's'}"] if self.kept else []
        if self.needs_restart:
            parts.append(f"needs a restart of tickerd: {' '.join(self.needs_restart)}")
        return "; ".join(parts)

    def data(self) -> dict[str, Any]:
        """For programs, as JSON can hold it."""
        lists = ("restarted", "changed", "added", "removed", "kept", "settings", "needs_restart", "errors")
        return {
            "applied": self.applied,
            "generation": self.generation,
            **{name: list(getattr(self, name)) for name in lists},
            "seconds": round(self.seconds, 3),
        }


def refused(generation: int, *errors: str, seconds: float = 0.0) -> Verdict:
    """Nothing was changed."""
    return Verdict(applied=False, generation=generation, errors=errors, seconds=seconds)


def applied(
    plan: Plan, generation: int, *, restarted: tuple[str, ...], changed: tuple[str, ...], seconds: float
) -> Verdict:
    """The plan is in force.

    Args:
        plan: what was carried out.
        generation: of the configuration that is in force now.
        restarted: units that were restarted, planned or because they could not change while running.
        changed: units that took new options while running.
        seconds: how long it took.
    """
    return Verdict(
        applied=True,
        generation=generation,
        restarted=restarted,
        changed=changed,
        added=tuple(step.unit for step in plan.of("add")),
        removed=tuple(step.unit for step in plan.of("remove")),
        kept=tuple(step.unit for step in plan.of("keep")),
        settings=tuple(one.option for one in plan.settings if one.reload == "live"),
        needs_restart=tuple(one.option for one in plan.needs_restart),
        seconds=seconds,
    )
