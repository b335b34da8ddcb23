"""The listener for the outside world: callbacks of logins and reports of other programs, and nothing else."""

from tickerd.control.hooks.app import Doorway, HooksReach
from tickerd.control.hooks.compartment import HooksCompartment

__all__ = ["Doorway", "HooksCompartment", "HooksReach"]
