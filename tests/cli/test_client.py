"""Talking to the control API."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tickerd.cli.client import ApiError, Client, api, segment


def test_it_asks_over_the_unix_socket_without_a_key(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (200, {"a": 1})
    assert Client(f"unix:{fake_api.socket}").get("/v1/x", n=1, left_out=None, many=["a b", "c"]) == {"a": 1}
    method, target, headers, _ = fake_api.asked[0]
    assert (method, target) == ("GET", "/v1/x?n=1&many=a+b&many=c")
    assert headers["host"] == "localhost"
    assert "authorization" not in headers


def test_it_asks_over_tcp_with_a_key_and_a_body(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (201, [1])
    assert Client(fake_api.url, "tkd_live_x").post("/v1/x", {"b": 2}) == [1]
    method, _, headers, body = fake_api.asked[0]
    assert (method, json.loads(body)) == ("POST", {"b": 2})
    assert headers["authorization"] == "Bearer tkd_live_x"
    assert headers["content-type"] == "application/json"


def test_a_problem_is_told_in_its_own_words(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (
        404,
        {"type": "t", "title": "not found", "status": 404, "detail": "no source 'a'"},
    )
    with pytest.raises(ApiError, match="not found: no source 'a'") as raised:
        Client(fake_api.url).get("/v1/x")
    assert raised.value.status == 404
    assert raised.value.problem["type"] == "t"
    fake_api.answers["/v1/x"] = (500, {})
    with pytest.raises(ApiError, match="status 500"):
        Client(fake_api.url).get("/v1/x")


def test_a_verdict_is_an_answer_whatever_its_status(fake_api: Any) -> None:
    fake_api.answers["/readyz"] = (503, {"status": "down"})
    assert Client(fake_api.url).get("/readyz") == {"status": "down"}


def test_an_answer_without_a_body_is_nothing(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (204, b"")
    assert Client(fake_api.url).get("/v1/x") is None


def test_what_does_not_answer_with_json_is_no_tickerd(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (200, b"<html>")
    with pytest.raises(ApiError, match="is no tickerd"):
        Client(fake_api.url).get("/v1/x")


def test_control_characters_of_an_answer_do_not_reach_the_terminal(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (
        400,
        {"type": "t", "title": "x", "status": 400, "detail": "\x1b[31m" + "a" * 9000},
    )
    with pytest.raises(ApiError) as raised:
        Client(fake_api.url).get("/v1/x")
    assert "\x1b" not in raised.value.message
    assert len(raised.value.message) < 3000


def test_no_answer_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError, match=r"no tickerd answers at unix:.*is it running"):
        Client(f"unix:{tmp_path}/none.sock").get("/")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ApiError, match="no tickerd answers at http"):
            Client(f"http://127.0.0.1:{unused.getsockname()[1]}").get("/")
        unused.listen()
        with pytest.raises(ApiError, match=r"did not answer within 0\.1 s"):
            Client(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout_s=0.1).get("/")
    for error, text in [(PermissionError(13, "no"), "its group may"), (OSError(5, "odd"), "odd")]:

        def fail(*_: Any, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr("tickerd.cli.client.UnixConnection.connect", fail)
        with pytest.raises(ApiError, match=text):
            Client("unix:/x").get("/")


@pytest.mark.parametrize("url", ["ftp://x", "localhost:7801", "http://", "x"])
def test_an_address_that_is_none_is_a_mistake_of_the_command_line(url: str) -> None:
    with pytest.raises(click.BadParameter, match="http://HOST:PORT"):
        Client(url)


def test_a_key_that_is_none_is_a_mistake_of_the_command_line() -> None:
    with pytest.raises(click.BadParameter, match="no API key"):
        Client("http://x", "a b\n")


def test_https_checks_the_certificate(fake_api: Any) -> None:
    with pytest.raises(ApiError):
        Client(fake_api.url.replace("http:", "https:")).get("/v1/x")


def test_commands_are_handed_the_daemon_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.option("--n", default=0)
    @api
    def command(client: Client, n: int) -> None:
        click.echo(f"{client.address} {n}")

    run = CliRunner().invoke
    assert run(command).output == "unix:/run/tickerd.sock 0\n"
    assert run(command, ["--socket", "/x.sock", "--n", "3"]).output == "unix:/x.sock 3\n"
    assert run(command, ["--url", "http://h:1", "--key", "k"]).output == "http://h:1 0\n"
    monkeypatch.setenv("TICKERD_URL", "http://e:2")
    assert run(command).output == "http://e:2 0\n"


def test_a_symbol_is_one_segment_of_a_path() -> None:
    assert segment("NSE:M&M / 50") == "NSE:M%26M%20%2F%2050"


def test_a_list_is_read_page_by_page_up_to_what_was_asked_for(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (200, {"items": [1, 2], "next": "2"})
    client = Client(f"unix:{fake_api.socket}")
    assert list(client.every("/v1/x", most=3)) == [1, 2, 1, 2]  # this one always has as many
    assert [one[1] for one in fake_api.asked] == ["/v1/x?limit=3", "/v1/x?after=2&limit=1"]
    fake_api.answers["/v1/x"] = (200, {"items": [1], "next": None})
    assert list(client.every("/v1/x", a="b")) == [1]
    assert fake_api.asked[-1][1] == "/v1/x?limit=1000&a=b"


def test_lines_are_read_without_signs_of_life(fake_api: Any) -> None:
    fake_api.answers["/v1/tap"] = (200, b'\n{"a":1}\n\n{"b":2}\n')
    assert list(Client(fake_api.url, "k").lines("/v1/tap", i=["x", "y"], limit=None)) == [
        b'{"a":1}',
        b'{"b":2}',
    ]
    method, path, headers, _ = fake_api.asked[0]
    assert (method, path) == ("GET", "/v1/tap?i=x&i=y")
    assert (headers["accept"], headers["authorization"]) == ("application/x-ndjson", "Bearer k")
    fake_api.answers["/v1/tap"] = (503, {"type": "t", "title": "not available now", "status": 503})
    with pytest.raises(ApiError, match="not available now"):
        list(Client(fake_api.url).lines("/v1/tap"))
    with pytest.raises(ApiError, match="no tickerd answers"):
        list(Client("unix:/nowhere.sock").lines("/v1/tap"))


def test_who_listens_is_known_by_its_process(fake_api: Any) -> None:
    assert Client(f"unix:{fake_api.socket}").process() == os.getpid()
    assert Client(fake_api.url).process() is None
    assert Client("unix:/nowhere.sock").process() is None


def test_a_document_is_sent_as_it_is(fake_api: Any) -> None:
    fake_api.answers["/v1/x"] = (200, {})
    Client(fake_api.url).ask("POST", "/v1/x", b"a: 1", timeout_s=3)
    assert (fake_api.asked[0][2]["content-type"], fake_api.asked[0][3]) == ("application/yaml", b"a: 1")


def test_a_file_says_where_its_daemon_listens(tmp_path: Path) -> None:
    @click.command()
    @api
    def command(client: Client) -> None:
        click.echo(client.address)

    file = tmp_path / "t.yaml"
    file.write_text("control: {listen: ['127.0.0.1:1', 'unix:/x.sock']}")
    run = CliRunner().invoke
    assert run(command, ["-c", str(file)]).output == "unix:/x.sock\n"
    assert run(command, ["-c", str(file)], env={"TICKERD_URL": "http://e:2"}).output == "unix:/x.sock\n"
    assert run(command, ["--url", "unix:/y.sock"]).output == "unix:/y.sock\n"
    assert run(command, ["-c", str(file), "--url", "http://h:1"]).exit_code == 2
    file.write_text("control: {listen: []}")
    assert "listens nowhere" in run(command, ["-c", str(file)]).output
