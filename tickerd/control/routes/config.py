"""The configuration: the one in force, a check of another one, and going over to what the file says now."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tickerd.config.problem import Problem as ConfigProblem
from tickerd.control.facade import ConfigShown
from tickerd.control.problem import Problem
from tickerd.control.route import Call, Input, Route
from tickerd.control.steering import Examined
from tickerd.observe.picture import Shown
from tickerd.runtime.verdict import Verdict

SCOPE = "admin:config"
RELOAD_S = 300.0
"""Others may have to be waited for."""
CHECK_S = 60.0
CHECK_COST = 40
"""Compiling costs as much as many a read."""
YAML = ("application/yaml", "application/x-yaml", "text/yaml", "text/plain")
_MOST_PROBLEMS = 200


@dataclass(frozen=True, kw_only=True)
class MistakeShown(Shown):
    """One thing to mend. Values are masked where they may be secret."""

    file: str
    line: int
    """Counts from 1; 0 when it is the file as a whole."""
    column: int
    path: str
    """Dotted: ``sources.kite.subscribe[0].mode``."""
    message: str
    """What is wrong."""
    hint: str
    """What may help."""
    source: str
    """That line of the file, masked."""
    caret: int
    """Where in ``source``, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class ExaminedShown(Shown):
    """What a check found."""

    ok: bool
    problems: tuple[MistakeShown, ...]
    """Why it cannot be used."""
    warnings: tuple[MistakeShown, ...]
    plan: Mapping[str, Any] | None
    """What a reload to it would do, as `tickerd plan --format json` shows it; null when it cannot be used."""


@dataclass(frozen=True, kw_only=True)
class ReloadedShown(Shown):
    """What a reload came to."""

    dry_run: bool
    """Whether nothing was to be done."""
    generation: int
    """Of the configuration in force now."""
    applied: bool
    restarted: tuple[str, ...]
    """Units, such as ``sink.archive``, like the lists below."""
    changed: tuple[str, ...]
    """Went on running with new options."""
    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    settings: tuple[str, ...]
    """Options outside of units that are in force now."""
    needs_restart: tuple[str, ...]
    """Options that stay as they were until tickerd is restarted."""
    seconds: float
    verdict: str
    """All of it in one sentence."""
    plan: Mapping[str, Any] | None
    """As `tickerd plan --format json` shows it."""
    warnings: tuple[MistakeShown, ...]


class ReloadQuery(Input):
    """Whether to do it."""

    dry_run: bool = False
    """Only tell what a reload would do."""


async def effective(call: Call) -> ConfigShown:
    """With every default filled in and every secret masked."""
    return call.facade.config()


async def validate(call: Call) -> ExaminedShown:
    """Of what was sent."""
    found = await call.desk.steering.validate(call.body)
    return ExaminedShown(
        ok=not found.problems,
        problems=_mistakes(found.problems),
        warnings=_mistakes(found.warnings),
        plan=found.plan,
    )


async def reload(call: Call) -> ReloadedShown:
    """From the file; nobody can send one."""
    dry_run = call.query.dry_run
    done = await call.desk.steering.reload(call.by, dry_run=dry_run)
    if done.problems:
        raise unusable(done)
    verdict = done.verdict
    if verdict is not None and not verdict.applied:
        raise Problem(409, verdict.text(), code="reload-failed", extra={"verdict": verdict.data()})
    verdict = verdict or Verdict(applied=False, generation=done.generation)
    return ReloadedShown(
        dry_run=dry_run,
        generation=verdict.generation,
        applied=verdict.applied,
        restarted=verdict.restarted,
        changed=verdict.changed,
        added=verdict.added,
        removed=verdict.removed,
        kept=verdict.kept,
        settings=verdict.settings,
        needs_restart=verdict.needs_restart,
        seconds=round(verdict.seconds, 3),
        verdict="nothing was done, as asked for" if dry_run else verdict.text(),
        plan=done.plan,
        warnings=_mistakes(done.warnings),
    )


def unusable(found: Examined) -> Problem:
    """A file that cannot be used: every place, in the words of ``tickerd check``."""
    first, count = found.problems[0], len(found.problems)
    more = f", and {count - 1} more" if count > 1 else ""
    errors = [
        {"at": one.where, "problem": ": ".join(filter(None, (one.path, one.message)))}
        for one in found.problems[:_MOST_PROBLEMS]
    ]
    extra = {"problems": [asdict(one) for one in _mistakes(found.problems)]}
    head = first.text().partition("\n")[0]
    return Problem(422, f"{head}{more}", code="config-invalid", errors=errors, extra=extra)


def _mistakes(found: Sequence[ConfigProblem]) -> tuple[MistakeShown, ...]:
    return tuple(MistakeShown(**one.data()) for one in found[:_MOST_PROBLEMS])


ROUTES = (
    Route(
        method="GET",
        path="/v1/config",
        summary="The configuration in force, secrets hidden",
        handler=effective,
        scope=SCOPE,
        answer=ConfigShown,
    ),
    Route(
        method="POST",
        path="/v1/config/validate",
        summary="Check a configuration without using it",
        description=(
            "Takes the YAML as it is. References in it are not resolved, and no plugin is loaded that the running "
            "configuration does not use. A configuration with mistakes is a 200 that lists them."
        ),
        handler=validate,
        scope=SCOPE,
        cost=CHECK_COST,
        body=bytes,
        body_types=YAML,
        answer=ExaminedShown,
        seconds=CHECK_S,
    ),
    Route(
        method="POST",
        path="/v1/reload",
        summary="Read the file again and go over to it",
        description=(
            "Either all of it is in force afterwards or nothing is changed. Waits for reloads that were asked for "
            "before, and goes on when the caller leaves. `dry_run` only tells what would be done."
        ),
        handler=reload,
        scope=SCOPE,
        rate="administration",
        changes=True,
        seconds=RELOAD_S,
        query=ReloadQuery,
        answer=ReloadedShown,
        statuses={
            409: "It was tried and taken back: something did not come up.",
            422: "The file is wrong; nothing was tried.",
        },
    ),
)
