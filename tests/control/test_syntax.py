"""Applications are made while others are described in threads."""

import threading
from typing import Any

from tickerd.control.changes import Changes
from tickerd.control.hooks.app import HooksApplication, HooksReach
from tickerd.control.syntax import SYNTAX


def test_an_application_waits_for_a_description_that_is_being_made() -> None:
    doorway: Any = object()
    made = threading.Event()

    def make() -> None:
        HooksApplication(doorway, HooksReach(listening=["127.0.0.1:7802"]), Changes())
        made.set()

    with SYNTAX:
        thread = threading.Thread(target=make)
        thread.start()
        assert not made.wait(0.2)
    assert made.wait(10)
    thread.join()
