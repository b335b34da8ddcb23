"""The programs that receivers copy from the documentation, against deliveries that the sink has posted."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import standardwebhooks
import trio

from tickerd.plugin import Batch, Notice
from tickerd.testing import stamped
from tickerd.wire.standard_webhooks import headers, key_of, secret_of

FOLDER = Path(__file__).resolve().parents[3] / "docs/webhooks"
OTHER = secret_of(b"o" * 32)


@dataclass(frozen=True)
class Program:
    """A program that verifies what it is given."""

    command: tuple[str, ...]

    async def says(self, secret, given, body):
        """Its exit code, and what it prints."""
        arguments = [given["webhook-id"], given["webhook-timestamp"], given["webhook-signature"]]
        with trio.fail_after(20):
            done = await trio.run_process(
                [*self.command, *arguments], stdin=body, env={"WEBHOOK_SECRET": secret, "PATH": "/usr/bin:/bin"},
                capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).decode().strip()


@pytest.fixture(
    params=[
        "python",
        pytest.param("node", marks=pytest.mark.full),
        pytest.param("shell", marks=pytest.mark.full),
    ]
)
def program(request, need):
    if request.param == "python":
        return Program((sys.executable, "-I", str(FOLDER / "verify.py")))
    if request.param == "node":
        return Program((need("node"), str(FOLDER / "verify.mjs")))
    need("openssl")
    return Program((need("sh"), str(FOLDER / "verify.sh")))


@pytest.fixture
async def delivery(receiver, sink):
    """What came in of an event with every kind of character in it."""
    text = "é ₹ \u2028 \x00 \U0001f4c8 %s \\ ' \" $(false)\n"
    async with receiver() as there, sink(there) as here:
        batch = stamped(
            Batch.control(Notice(source="kite", kind="message", data=text, ts_recv=time.time_ns())), 1
        )
        for message in here.compose(batch):
            await here.send(message, 1)
    (got,) = there.got
    return got


async def test_the_genuine_delivery_is_accepted(program, delivery, secret):
    standardwebhooks.Webhook(secret).verify(delivery.body, delivery.headers)
    assert await program.says(secret, delivery.headers, delivery.body) == (0, "genuine")


@pytest.mark.parametrize("place", [0, 17, -1])
async def test_a_flipped_bit_in_the_body_is_refused(program, delivery, secret, place):
    body = bytearray(delivery.body)
    body[place] ^= 1
    assert await program.says(secret, delivery.headers, bytes(body)) == (1, "refused: no signature fits")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_a_changed_header_is_refused(program, delivery, secret, name):
    value = delivery.headers[name]
    changed = f"{value[:9]}{'A' if value[9] != 'A' else 'B'}{value[10:]}"
    if name == "webhook-timestamp":
        changed = str(int(value) - 1)
    given = {**delivery.headers, name: changed}
    assert await program.says(secret, given, delivery.body) == (1, "refused: no signature fits")


async def test_a_body_with_something_added_or_missing_is_refused(program, delivery, secret):
    for body in (delivery.body + b"\n", delivery.body[:-1], b""):
        assert (await program.says(secret, delivery.headers, body))[0] == 1


async def test_the_wrong_secret_is_refused(program, delivery):
    assert await program.says(OTHER, delivery.headers, delivery.body) == (1, "refused: no signature fits")


@pytest.mark.parametrize("age", [301 + 30, -301 - 30])
async def test_what_is_older_than_five_minutes_or_from_the_future_is_refused(program, secret, age):
    given = headers([key_of(secret)], "msg_1", int(time.time()) - age, b"{}")
    code, said = await program.says(secret, given, b"{}")
    assert (code, said) == (1, "refused: too old, or this machine's clock is wrong")


@pytest.mark.parametrize("age", [270, -270])
async def test_what_is_a_little_younger_is_accepted(program, secret, age):
    given = headers([key_of(secret)], "msg_1", int(time.time()) - age, b"{}")
    assert await program.says(secret, given, b"{}") == (0, "genuine")


async def test_either_secret_is_good_while_one_is_replaced(program, secret):
    given = headers([key_of(OTHER), key_of(secret)], "msg_1", int(time.time()), b"{}")
    for one in (secret, OTHER):
        assert await program.says(one, given, b"{}") == (0, "genuine")


async def test_keys_of_any_length_and_bodies_of_any_bytes_are_right(program):
    body = bytes(range(256)) * 20
    for key in (bytes(24), b"\xff" * 32, bytes(range(64))):
        given = headers([key], "msg_1", int(time.time()), body)
        assert await program.says(secret_of(key), given, body) == (0, "genuine")


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 13},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1, * $(id) v2,abc"},
        {"webhook-signature": "v1a,AAAA " * 20},
    ],
)
async def test_nonsense_is_refused(program, secret, changes):
    given = headers([key_of(secret)], "msg_1", int(time.time()), b"{}") | changes
    code, said = await program.says(secret, given, b"{}")
    assert code == 1
    assert said.startswith("refused: ")
    assert len(said.splitlines()) == 1


@pytest.mark.full
def test_the_secret_is_on_no_command_line(need, tmp_path, secret):
    """Whoever may run ``ps`` sees what a program is started with."""
    said = tmp_path / "said"
    (tmp_path / "openssl").write_text(f'#!/bin/sh\necho "$@" >> {said}\nexec {need("openssl")} "$@"\n')
    (tmp_path / "openssl").chmod(0o755)
    given = headers([key_of(secret)], "msg_1", int(time.time()), b"{}")
    done = subprocess.run(
        ["sh", FOLDER / "verify.sh", given["webhook-id"], given["webhook-timestamp"], given["webhook-signature"]],
        input=b"{}", env={"WEBHOOK_SECRET": secret, "PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == b"genuine\n"
    arguments = said.read_text()
    assert "dgst" in arguments
    assert secret[6:] not in arguments
    assert key_of(secret).hex() not in arguments
