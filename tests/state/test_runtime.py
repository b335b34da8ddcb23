"""Run-time values: JSON by namespace and key."""

import pytest

from tickerd.state import runtime


def test_a_value_comes_back_as_it_went_in(connection):
    value = {"a": [1, 2.5, None, True, "ₓ"], "b": {"c": -(2**63)}}
    runtime.put(connection, "n", "k", value, now_ns=1)
    assert runtime.get(connection, "n", "k") == value
    runtime.put(connection, "n", "k", None, now_ns=2)
    assert runtime.get(connection, "n", "k", "default") is None
    assert runtime.get(connection, "n", "other", "default") == "default"
    assert runtime.get(connection, "other", "k") is None


def test_a_namespace_is_listed_by_key_and_alone(connection):
    for namespace, key in (("n", "b"), ("n", "a"), ("m", "c")):
        runtime.put(connection, namespace, key, key, now_ns=1)
    assert list(runtime.every(connection, "n").items()) == [("a", "a"), ("b", "b")]
    assert runtime.remove(connection, "n", "a")
    assert not runtime.remove(connection, "n", "a")
    assert runtime.every(connection, "n") == {"b": "b"}


def test_a_value_that_is_too_long_is_refused(connection):
    with pytest.raises(ValueError, match=r"the value of 'k' in 'n' has \d+ bytes, more than"):
        runtime.put(connection, "n", "k", "x" * runtime.LONGEST, now_ns=1)
    assert runtime.every(connection, "n") == {}


def test_no_text_is_ever_taken_for_sql(connection, hostile, dump):
    before = dump(connection)[""]
    value = hostile[: runtime.LONGEST - 100]
    runtime.put(connection, "bystander", "k", 1, now_ns=1)
    runtime.put(connection, hostile, hostile, value, now_ns=1)
    assert runtime.get(connection, hostile, hostile) == value
    assert runtime.every(connection, hostile) == {hostile: value}
    assert runtime.remove(connection, hostile, hostile)
    assert runtime.every(connection, "bystander") == {"k": 1}
    assert dump(connection)[""] == before
