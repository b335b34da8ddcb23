"""Idempotency keys: the same request is carried out once, whoever else uses the same key, and however often."""

from typing import Any

import pytest
import trio

from tickerd.control import replies
from tickerd.control.problem import Problem
from tickerd.control.replies import Replies, parse_key
from tickerd.control.route import Reply


def test_the_first_answer_is_that_of_all_who_ask_the_same() -> None:
    known, reply = Replies(), Reply(body=b"made")
    assert known.begin("key a", "k", b"POST", 0) is None
    known.keep("key a", "k", reply)
    assert known.begin("key a", "k", b"POST", 1) is reply
    assert known.begin("key b", "k", b"POST", 1) is None  # another caller's


def test_a_key_is_for_one_request() -> None:
    known = Replies()
    known.begin("key a", "k", b"POST 1", 0)
    known.keep("key a", "k", Reply(body=b""))
    with pytest.raises(Problem) as raised:
        known.begin("key a", "k", b"POST 2", 1)
    assert (raised.value.status, raised.value.code) == (422, "idempotency-key-reused")


def test_while_the_first_is_under_way_the_second_is_told_to_wait() -> None:
    known = Replies()
    known.begin("key a", "k", b"POST", 0)
    with pytest.raises(Problem) as raised:
        known.begin("key a", "k", b"POST", 1)
    assert (raised.value.status, raised.value.code) == (409, "under-way")


def test_what_changed_nothing_may_be_sent_again() -> None:
    known = Replies()
    known.begin("key a", "k", b"POST", 0)
    known.drop("key a", "k")
    assert known.begin("key a", "k", b"POST", 1) is None


def test_answers_are_kept_for_a_day() -> None:
    known = Replies()
    known.begin("key a", "k", b"POST", 0)
    known.keep("key a", "k", Reply(body=b"x"))
    assert known.begin("key a", "k", b"POST", replies.LIFE_S - 1) is not None
    assert known.begin("key a", "k", b"other", replies.LIFE_S) is None


def test_there_are_only_so_many_and_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Replies()
    for number in range(replies.MOST + 10):
        known.begin("key a", f"{number}", b"POST", 0)
        known.keep("key a", f"{number}", Reply(body=b"x"))
    assert len(known) == replies.MOST
    assert known.begin("key a", "0", b"POST", 0) is None
    monkeypatch.setattr(replies, "MOST_BYTES", 100)
    known.begin("key a", "big", b"POST", 0)
    known.keep("key a", "big", Reply(body=b"x" * 99))
    assert len(known) == 3  # it, one of a byte, and the one that is under way


def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    known = Replies()
    known.keep("key a", "k", Reply(body=b"x"))
    assert len(known) == 0


@pytest.mark.parametrize("text", ["", " ", '""', "a b", "a" * 256, "caf\xe9", "a\x1b", "a,b c"])
def test_what_cannot_be_a_key_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="Idempotency-Key: expected"):
        parse_key(text)


def test_keys_may_be_quoted_or_not() -> None:
    assert (parse_key('"abc"'), parse_key("abc"), parse_key('"'), parse_key(None)) == (
        "abc",
        "abc",
        '"',
        None,
    )


# -- over the API ---------------------------------------------------------------------------------------

BODY = {"label": "a", "scopes": ["subs:write"]}


async def test_a_change_that_is_sent_twice_is_made_once(api: Any) -> None:
    first = await api.post("/v1/keys", BODY, Idempotency_Key="k1")
    second = await api.post("/v1/keys", BODY, Idempotency_Key='"k1"')
    assert (first.status, first.body) == (second.status, second.body)
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (
        False,
        "true",
    )
    assert len(await api.desk.keys.every()) == 1
    other = await api.post("/v1/keys", {**BODY, "label": "b"}, Idempotency_Key="k1")
    assert (other.status, other.json["type"]) == (422, "urn:tickerd:problem:idempotency-key-reused")


async def test_another_path_with_the_same_key_is_another_request(api: Any) -> None:
    await api.raw("POST", "/v1/sinks/archive/pause", Authorization="Bearer all", Idempotency_Key="k")
    other = await api.raw("POST", "/v1/sinks/archive/resume", Authorization="Bearer all", Idempotency_Key="k")
    assert other.status == 422
    assert [one[0] for one in api.steering.asked] == ["pause"]


async def test_a_change_that_failed_may_be_sent_again(api: Any) -> None:
    api.access.keys["few"] = api.access.keys["all"].narrowed({"admin:keys"})
    refused = await api.post("/v1/keys", BODY, key="few", Idempotency_Key="k")
    assert refused.status == 403
    assert (await api.post("/v1/keys", BODY, Idempotency_Key="k")).status == 201


async def test_of_two_at_the_same_time_one_is_made(api: Any) -> None:
    api.steering.wait = trio.Event()
    statuses: list[int] = []

    async def pause() -> None:
        answer = await api.raw(
            "POST", "/v1/sinks/archive/pause", Authorization="Bearer all", Idempotency_Key="k"
        )
        statuses.append(answer.status)
        api.steering.wait.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pause)
        nursery.start_soon(pause)
    assert sorted(statuses) == [200, 409]
    assert len(api.steering.asked) == 1


async def test_who_lost_the_answer_gets_it(api: Any) -> None:
    api.steering.wait = trio.Event()
    head = "POST /v1/sinks/archive/pause HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer all\r\n"
    async with await api.running.connect() as stream:
        await stream.send_all(f"{head}Idempotency-Key: k\r\n\r\n".encode())
        with trio.fail_after(2):
            while not api.steering.asked:
                await trio.sleep(0.001)
    await trio.sleep(0.05)  # the server has seen that the client has left
    api.steering.wait.set()
    with trio.fail_after(2):
        while True:
            again = await api.raw(
                "POST", "/v1/sinks/archive/pause", Authorization="Bearer all", Idempotency_Key="k"
            )
            if again.status == 200:
                break
    assert again.headers["idempotency-replayed"] == "true"
    assert len(api.steering.asked) == 1


async def test_reads_take_no_notice_of_a_key(api: Any) -> None:
    assert (await api.get("/v1/status", Idempotency_Key="a b")).status == 200


async def test_a_key_that_is_none_is_refused_before_anything_is_changed(api: Any) -> None:
    assert (await api.post("/v1/keys", BODY, Idempotency_Key="a b")).status == 400
    assert await api.desk.keys.every() == []
