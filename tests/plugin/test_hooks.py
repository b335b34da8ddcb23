"""The hooks: few, named alike, and none that needs an argument it is not given."""

import inspect

import pluggy
import pytest

from tickerd.plugin import API_VERSION, hookimpl, hooks

HOOKS = [function for name, function in vars(hooks).items() if name.startswith("tickerd_")]


def test_the_version_is_zero_until_the_api_has_been_used_in_earnest() -> None:
    assert API_VERSION == 0


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_is_a_typed_and_documented_specification(hook: object) -> None:
    assert callable(hook)
    assert hasattr(hook, f"{hooks.PROJECT}_spec")
    assert inspect.getdoc(hook)
    signature = inspect.signature(hook)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


def test_an_implementation_may_leave_arguments_out() -> None:
    heard = []

    class Plugin:
        @hookimpl
        def tickerd_unit_changed(self, state: str) -> None:
            heard.append(state)

    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(Plugin())
    manager.check_pending()
    manager.hook.tickerd_unit_changed(unit="source.kite", state="running", detail="")
    assert heard == ["running"]
